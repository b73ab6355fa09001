// A costly initializer in JavaScript: parses a catalogue of 50,000 items from JSON and indexes it before the first event, which then is
// one look-up. What a source file does at its top level componentize-js has done already when it built the component; what needs the
// function's own surroundings (its name, variables, grants) can only be done here, and isolation `snapshot` does it once.
import { log } from "wasi:logging/logging@0.1.0-draft";

const ITEMS = 50_000;

let catalogue;
let builtFor = "";
let served = 0;

export const initializer = {
  initialize(context) {
    log("info", "", `building the catalogue of ${context.function}`);
    const items = JSON.parse(document());
    catalogue = new Map(items.map((item) => [item.sku, item]));
    builtFor = context.function;
  },
};

export const handler = {
  handle(event, _context) {
    const sku = parse(event);
    const item = catalogue.get(sku);
    if (!item) {
      throw { kind: "NoSuchItem", message: `the catalogue has ${catalogue.size} items, and not ${sku}`, stack: [] };
    }
    served += 1;
    return new TextEncoder().encode(JSON.stringify({ price: item.price, served, builtFor }));
  },
};

// As text, so that there is something to parse. Prices are steps of a xorshift generator from a fixed seed.
function document() {
  let state = 0x9e3779b9;
  const items = [];
  for (let number = 0; number < ITEMS; number += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    items.push(`{"sku":"item-${number}","price":${(state >>> 0) % 10_000},"tags":["a${number % 7}","b${number % 11}"]}`);
  }
  return `[${items.join(",")}]`;
}

function parse(event) {
  try {
    return JSON.parse(new TextDecoder().decode(event));
  } catch (error) {
    throw { kind: "InvalidEvent", message: error.message, stack: [] };
  }
}
