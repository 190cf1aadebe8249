// Score an exported model in Node: npm install onnxruntime-node; node score.mjs [MODEL]
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as onnxruntime from "onnxruntime-node";

const ort = onnxruntime.default ?? onnxruntime;
const here = name => new URL(name, import.meta.url);
const load = name => JSON.parse(readFileSync(here(name), "utf8"));

// NaN for a missing value, 0 and 1 for false and true, seconds since 1970 UTC for a date (without a zone: UTC)
function number(value, kind) {
  if (value === null || value === undefined) return NaN;
  if (kind !== "datetime") return Number(value);
  return Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$|^[^T]*$/.test(value) ? value : value + "Z") / 1000;
}

// The graph's two inputs; the empty string stands for a missing category or text
function inputs(rows, { numbers, strings }) {
  const feeds = {};
  if (numbers.length) {
    const values = rows.flatMap(row => numbers.map(c => number(row[c.name], c.kind)));
    feeds.numbers = new ort.Tensor("float64", Float64Array.from(values), [rows.length, numbers.length]);
  }
  if (strings.length) {
    const texts = rows.flatMap(row => strings.map(c => row[c.name] ?? ""));
    feeds.strings = new ort.Tensor("string", texts, [rows.length, strings.length]);
  }
  return feeds;
}

const session = await ort.InferenceSession.create(process.argv[2] ?? fileURLToPath(here("../@MODEL@")));
const found = await session.run(inputs(load("rows.json"), load("schema.json").inputs));
const name = "prediction" in found ? "prediction" : "probabilities";
const values = Array.from(found[name].data), expected = load("expected.json")[name].flat();
const worst = Math.max(...values.map((v, k) => Math.abs(v - expected[k])));
console.log(name === "prediction" ? values : { labels: Array.from(found.label.data, String), probabilities: values });
console.log(`largest difference to the export: ${worst}`);
process.exitCode = values.length === expected.length && worst < 1e-6 * (1 + Math.max(...values.map(Math.abs))) ? 0 : 1;
