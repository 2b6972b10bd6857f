// One function, one task: heavy work off the main thread, and off the machine where the workers are elsewhere.
//
//   npx gearmill run examples/submit.ts
import { local } from 'gearmill'

await using mill = await local()

function fibonacci(n: number): bigint {
  let [a, b] = [0n, 1n]
  for (let i = 0; i < n; i++) [a, b] = [b, a + b]
  return a
}

// The functions that a function uses travel with it.
const digits = (n: number): number => String(fibonacci(n)).length

const executions = await Promise.all([100, 1_000, 10_000].map((n) => mill.submit(digits, n)))
const results = await Promise.all(executions.map((execution) => execution.result()))
console.log(results.join(' ')) // -> 21 209 2090

// Another time limit than the configured one: five minutes.
const quick = await mill.submitWith({ timeoutMs: 5_000 }, () => process.version.startsWith('v'))
console.log(await quick.result()) // -> true
