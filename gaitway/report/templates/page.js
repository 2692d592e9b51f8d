"use strict";
// Shows a chart's values under the pointer: they are read back from the lines themselves.
for (const plot of document.querySelectorAll(".plot")) {
  const [left, right] = plot.dataset.x.split(" ").map(Number);
  const [low, high] = plot.dataset.y.split(" ").map(Number);
  const plane = plot.querySelector("svg").viewBox.baseVal.width;
  const lines = [...plot.querySelectorAll(".line:not(.faint)")].map((path) => ({
    label: path.dataset.label,
    points: path.getAttribute("d").slice(1).split(/[ML]/).map((point) => point.split(" ").map(parseFloat)),
  }));
  if (!lines.length) continue;
  const text = (value) => String(Number(value.toPrecision(4)));
  const rule = Object.assign(document.createElement("div"), { className: "rule", hidden: true });
  const readout = Object.assign(document.createElement("div"), { className: "readout", hidden: true });
  plot.append(rule, readout);
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * plane;
    const nearest = lines.map(({ points }) =>
      points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best)));
    const x = nearest.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best))[0];
    const rows = [`${plot.dataset.xLabel}: ${text(left + (x / plane) * (right - left))}`];
    lines.forEach(({ label }, index) => {
      rows.push(`${label}: ${text(high - (nearest[index][1] / plane) * (high - low))}`);
    });
    readout.replaceChildren(...rows.map((row) => Object.assign(document.createElement("div"), { textContent: row })));
    rule.hidden = readout.hidden = false;
    rule.style.left = `${(100 * x) / plane}%`;
    readout.style.left = x < plane / 2 ? `calc(${(100 * x) / plane}% + 8px)` : "auto";
    readout.style.right = x < plane / 2 ? "auto" : `calc(${100 - (100 * x) / plane}% + 8px)`;
  });
  plot.addEventListener("pointerleave", () => { rule.hidden = readout.hidden = true; });
}
if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
  for (const video of document.querySelectorAll("video")) video.pause();
}
