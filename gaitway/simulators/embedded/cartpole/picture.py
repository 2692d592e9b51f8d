"""Side views of cart-poles, for videos."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gaitway.simulators.embedded.cartpole.dynamics import RAIL_LIMIT, CartPole
from gaitway.simulators.embedded.video import View

SIZE = (1280, 720)
HEADER = 84
"""Height of the strip with title and clock."""
MARGIN = 0.35
"""Metres of rail shown beyond the limits."""
SMOOTHING = 3
"""Moving parts are drawn this many times larger and scaled down, since Pillow draws hard edges."""

RAIL_DEPTH = 0.17
"""Metres from the hinge down to the rail."""
WHEEL_RADIUS = 0.06
"""Metres."""
POLE_THICKNESS = 0.07
"""Metres."""

Point = tuple[float, float]
Colour = tuple[int, int, int]
BACKGROUND: Colour = (15, 20, 32)
PANEL: Colour = (22, 29, 45)
RAIL: Colour = (88, 101, 126)
LIMIT: Colour = (178, 74, 84)
CART: Colour = (74, 134, 232)
WHEEL: Colour = (158, 170, 194)
POLE: Colour = (245, 178, 66)
BRIGHT: Colour = (234, 239, 248)
DIM: Colour = (136, 149, 174)
SUCCESS: Colour = (88, 196, 132)
FAILURE: Colour = (236, 110, 110)


class CartpolePainter:
    """Draws up to four cart-poles in panels below a header; what never moves is drawn once."""

    def __init__(self, num_views: int, title: str, subtitle: str) -> None:
        columns = 1 if num_views <= 2 else 2
        rows = math.ceil(num_views / columns)
        width, height = SIZE[0] // columns, (SIZE[1] - HEADER) // rows
        self._panels = [
            _Panel(8 + view % columns * width, HEADER + view // columns * height, width - 16, height - 12, view)
            for view in range(num_views)
        ]
        self._clock = _font(30)
        self._background = Image.new("RGB", SIZE, BACKGROUND)
        draw = ImageDraw.Draw(self._background)
        draw.text((24, 14), title, BRIGHT, _font(28))
        draw.text((24, 50), subtitle, DIM, _font(18))
        for panel in self._panels:
            panel.draw_background(draw)

    def __call__(self, views: list[View], seconds: float) -> NDArray[np.uint8]:
        """Return the picture of one moment. Shape: (720, 1280, 3)."""
        image = self._background.copy()
        draw = ImageDraw.Draw(image)
        draw.text((SIZE[0] - 24, HEADER // 2), f"{seconds:.2f} s", BRIGHT, self._clock, anchor="rm")
        for panel, view in zip(self._panels, views, strict=True):
            panel.draw(image, draw, view)
        return np.asarray(image)


class _Panel:
    """The place of one cart-pole in the picture."""

    def __init__(self, left: int, top: int, width: int, height: int, environment: int) -> None:
        self._box = (left, top, left + width, top + height)
        self._environment = environment
        self._robot = CartPole()
        self._middle = left + width / 2
        self._hinge = top + round(0.6 * height)
        # The whole rail must fit to the left and right of the hinge, and a hanging pole below it.
        self._scale = min(width / (2 * (RAIL_LIMIT + MARGIN)), 0.38 * height / self._robot.pole_length)
        self._rail = self._hinge + round(RAIL_DEPTH * self._scale)
        self._text = _font(18)

    def draw_background(self, draw: ImageDraw.ImageDraw) -> None:
        """Draw what never moves: the frame, the rail, and the limits of the cart."""
        left, top, _, _ = self._box
        draw.rounded_rectangle(self._box, 14, PANEL)
        draw.text((left + 18, top + 22), f"Environment {self._environment}", DIM, self._text, anchor="lm")
        end = (RAIL_LIMIT + MARGIN / 2) * self._scale
        draw.rounded_rectangle((self._middle - end, self._rail, self._middle + end, self._rail + 4), 2, RAIL)
        for metre in range(-math.floor(RAIL_LIMIT), math.floor(RAIL_LIMIT) + 1):
            x = self._middle + metre * self._scale
            draw.line((x, self._rail + 10, x, self._rail + 16), RAIL, 2)
        for side in (-1, 1):
            x = self._middle + side * RAIL_LIMIT * self._scale
            draw.rounded_rectangle((x - 3, self._rail - 0.3 * self._scale, x + 3, self._rail + 4), 3, LIMIT)

    def draw(self, image: Image.Image, draw: ImageDraw.ImageDraw, view: View) -> None:
        """Draw what changes: the figures and the robot."""
        _, top, right, _ = self._box
        ending = view.ending
        text, colour = f"return {view.episode_return:.2f}", BRIGHT
        if ending is not None:
            outcome = ending.text.replace("_", " ")
            text, colour = f"{outcome}  ·  {text}", SUCCESS if ending.success else FAILURE
        draw.text((right - 18, top + 22), text, colour, self._text, anchor="rm")
        self._draw_robot(image, float(view.states[0]), float(view.states[1]))

    def _draw_robot(self, image: Image.Image, cart_position: float, pole_angle: float) -> None:
        """Draw cart and pole, enlarged, on the part of the picture that they cover, and scale that part down again."""
        # A positive angle tilts the pole towards negative positions of the cart.
        tip_x, tip_z = (-self._robot.pole_length * math.sin(pole_angle), self._robot.pole_length * math.cos(pole_angle))
        hinge_x = self._middle + cart_position * self._scale
        left, right = (round(hinge_x + x * self._scale) for x in (min(-0.25, tip_x - 0.05), max(0.25, tip_x + 0.05)))
        top, bottom = (round(self._hinge - z * self._scale) for z in (max(0.1, tip_z + 0.05), min(-0.2, tip_z - 0.05)))
        patch = image.crop((left, top, right, bottom))
        patch = patch.resize((patch.width * SMOOTHING, patch.height * SMOOTHING), Image.Resampling.NEAREST)
        draw = ImageDraw.Draw(patch)
        metre = self._scale * SMOOTHING

        def at(x_metres: float, z_metres: float) -> Point:
            return (hinge_x - left) * SMOOTHING + x_metres * metre, (self._hinge - top) * SMOOTHING - z_metres * metre

        for side in (-1, 1):
            _disc(draw, at(0.13 * side, WHEEL_RADIUS - RAIL_DEPTH), WHEEL_RADIUS * metre, WHEEL)
        draw.rounded_rectangle((*at(-0.23, 0.08), *at(0.23, -0.09)), 0.05 * metre, CART)
        draw.line((*at(0, 0), *at(tip_x, tip_z)), POLE, round(POLE_THICKNESS * metre))
        _disc(draw, at(tip_x, tip_z), POLE_THICKNESS / 2 * metre, POLE)
        _disc(draw, at(0, 0), 0.8 * POLE_THICKNESS * metre, POLE)
        _disc(draw, at(0, 0), 0.35 * POLE_THICKNESS * metre, CART)
        image.paste(patch.reduce(SMOOTHING), (left, top))


def _disc(draw: ImageDraw.ImageDraw, centre: Point, radius: float, colour: Colour) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
