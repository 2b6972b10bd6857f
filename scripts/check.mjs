// `npm run check [NAME ...]`: format, lint, types, layers, exports, house rules, generated files. Prints each check's
// result, and what is wrong.
import { access } from 'node:fs/promises'
import { at, fail, run, say } from './paths.mjs'
import { setup } from './setup.mjs'

/** A tool that prints what is wrong and says so with its exit code. */
const tool =
  (path, ...args) =>
  async () => {
    const { code, output } = await run(process.execPath, [at('node_modules', path), ...args])
    return code === 0 ? [] : [output.trim() || `${path} ended with ${code}`]
  }

const own = (name) => async () => (await import(`./checks/${name}.mjs`)).check()

async function types() {
  const problems = await tool('typescript/bin/tsc', '-p', 'tsconfig.json', '--pretty', 'false')()
  // The benchmarks' peers are a package of their own, which not every clone has installed.
  const bench = await access(at('bench/node_modules')).then(
    () => tool('typescript/bin/tsc', '-p', 'bench/tsconfig.json', '--pretty', 'false')(),
    () => [],
  )
  return [...problems, ...bench]
}

const checks = {
  format: tool('prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.'),
  lint: tool('oxlint/bin/oxlint', '--quiet'),
  types,
  layers: own('layers'),
  house: own('house'),
  lock: own('lock'),
  exports: own('exports'),
  generated: own('generated'),
}

try {
  const asked = process.argv.slice(2)
  const unknown = asked.filter((name) => !Object.hasOwn(checks, name))
  if (unknown.length > 0) {
    say(`No such check: ${unknown.join(', ')}. There are: ${Object.keys(checks).join(', ')}`)
    process.exit(2)
  }
  await setup({ server: false, build: 'lenient' })
  for (const [name, check] of Object.entries(checks)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    const problems = await check().catch((error) => [error.stack ?? String(error)])
    say(problems.length === 0 ? `ok   ${name}` : `FAIL ${name}`)
    for (const problem of problems) say(problem.replace(/^/gm, '     '))
    if (problems.length > 0) process.exitCode = 1
  }
} catch (error) {
  fail(error)
}
