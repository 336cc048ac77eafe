// A reporter of node:test that writes what became of each test, one line of JSON a test, for the table of clients (interop/clientstable).
//
//   node --test --test-reporter=spec --test-reporter-destination=stdout \
//        --test-reporter=../harness/reporter.js --test-reporter-destination="$ARTIFACTS/clients/<suite>.jsonl"

export default async function* results(events) {
  const names = []; // of the test that is being told and of those around it
  for await (const { type, data } of events) {
    if (type === 'test:start') {
      names.length = data.nesting;
      names.push(data.name);
    }
    if ((type === 'test:pass' || type === 'test:fail') && data.details?.type !== 'suite') {
      if (data.skip !== undefined || data.todo !== undefined) continue;
      const test = [...names.slice(0, data.nesting), data.name].join(': ');
      yield `${JSON.stringify({ test, passed: type === 'test:pass' })}\n`;
    }
  }
}
