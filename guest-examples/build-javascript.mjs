// Makes a component of one JavaScript file: `node build.mjs SOURCE WIT-FOLDER WORLD OUT`. build.sh copies it next to the installed
// componentize-js, which is how node finds that. What JavaScript does not need of WASI is left out, so nothing asks for it.
import { componentize } from "@bytecodealliance/componentize-js";
import { readFile, writeFile } from "node:fs/promises";

const [source, witPath, worldName, out] = process.argv.slice(2);
const { component } = await componentize(await readFile(source, "utf8"), {
  witPath,
  worldName,
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(out, component);
