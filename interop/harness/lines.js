// A child process that is asked by lines on its standard input and answers by lines of JSON.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Starts it and waits for its first line, which is resolved as `first`. */
export async function startLines(command, args) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const errors = [];
  child.stderr.on('data', chunk => errors.push(chunk));
  const exited = new Promise(resolve => {
    child.on('exit', resolve);
    child.on('error', error => {
      errors.push(Buffer.from(`${error}\n`)); // no such file
      resolve();
    });
  });
  const waiting = [];
  createInterface({ input: child.stdout }).on('line', line => waiting.shift()?.resolve(JSON.parse(line)));
  exited.then(() => {
    const error = new Error(`${command} has ended: ${Buffer.concat(errors)}`);
    for (const { reject } of waiting.splice(0)) reject(error);
  });

  const answer = () => new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  const first = await answer();
  return {
    first,
    /** Answers come in the order of the questions. */
    async ask(line) {
      const answered = answer();
      child.stdin.write(`${line}\n`);
      const result = await answered;
      if (result.error) throw new Error(`${line}: ${result.error}`);
      return result;
    },
    async end() {
      child.stdin.end();
      await exited;
    },
  };
}

/** Resolves once `condition` gives something true; says what was waited for if it does not in time. */
export async function until(what, condition, millis = 60_000) {
  const deadline = Date.now() + millis;
  for (let last; ; ) {
    try {
      const result = await condition();
      if (result) return result;
      last = result;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${millis} ms for ${what}; last: ${last}`);
    await new Promise(resolve => setTimeout(resolve, 25));
  }
}

