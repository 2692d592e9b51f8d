// Says of each JSON document, one a line on stdin, whether it is valid by the schema in the file that is named first.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const require = createRequire(process.argv[2] + "/");
const Ajv = require("ajv/dist/2020").default;
const schema = JSON.parse(readFileSync(process.argv[3], "utf-8"));
const valid = new Ajv({ strict: false, validateFormats: false, logger: false }).compile(schema);
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(valid(JSON.parse(line)) + "\n");
}
