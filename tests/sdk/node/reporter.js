'use strict';
// Prints a line a test, as ../python/run.py does; the details go to standard error.

const path = require('node:path');

const reason = (error) => {
  const cause = error?.cause ?? error;
  const text = typeof cause === 'string' ? cause : `${cause?.code ?? cause?.name ?? ''} ${cause?.message ?? cause}`;
  return text.replace(/\s+/g, ' ').trim().slice(0, 300);
};

module.exports = async function* report(events) {
  for await (const { type, data } of events) {
    if (type === 'test:stderr' || type === 'test:stdout') {
      process.stderr.write(data.message);
      continue;
    }
    // A file is reported as a test too, and says nothing that its tests did not.
    const isFile = data.nesting === 0 && path.basename(data.name ?? '') === path.basename(data.file ?? '');
    if (type === 'test:pass' && !isFile) {
      const why = data.skip;
      if (why === undefined || why === '') yield `   ok   ${data.name}\n`;
      else if (why !== 'test name does not match pattern') yield `   skip ${data.name}: ${why}\n`;
    }
    if (type === 'test:fail' && !(isFile && data.details.error.failureType === 'subtestsFailed')) {
      yield `   FAIL ${data.name}: ${reason(data.details.error)}\n`;
      process.stderr.write(`== ${data.name}\n${data.details.error.cause?.stack ?? data.details.error.stack}\n`);
    }
  }
};
