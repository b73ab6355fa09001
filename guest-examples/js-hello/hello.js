// An event function in JavaScript: greets by name. The export is the interface hearth:function/handler; an error that is thrown with
// kind, message and stack is the function's own error, anything else is a crash.
import { log } from "wasi:logging/logging@0.1.0-draft";

export const handler = {
  handle(event, context) {
    const { name } = parse(event);
    if (!name) {
      throw { kind: "NoName", message: "a visitor needs a name", stack: [] };
    }
    log("info", "", `greeting ${name} in request ${context.requestId}`);
    return new TextEncoder().encode(JSON.stringify({ message: `hello ${name}` }));
  },
};

function parse(event) {
  try {
    return JSON.parse(new TextDecoder().decode(event));
  } catch (error) {
    throw { kind: "InvalidEvent", message: error.message, stack: [] };
  }
}
