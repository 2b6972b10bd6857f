// Compiles the AssemblyScript in src/native/*/assembly to the .wasm files beside it, which are part of the repository: nobody
// needs the compiler to run or build Gearmill. `--check` compares instead of writing. Run it after a change in those folders.
import { readFile, writeFile } from 'node:fs/promises'
import { at, fail, say, SetupError } from './paths.mjs'

const modules = ['text', 'blas'].map((name) => ({
  entry: `src/native/${name}/assembly/index.ts`,
  target: `src/native/${name}/${name}.wasm`,
}))

// The stub runtime has no garbage collector: the sources manage their memory. AS112 warns of v128 at the border of the
// module; such functions are used inside only. Without abort the module imports nothing.
const options = [
  '-O3',
  '--runtime',
  'stub',
  '--enable',
  'simd',
  '--noAssert',
  '--use',
  'abort=',
  '--disableWarning',
  '112',
]

async function compile(entry) {
  const { createMemoryStream, main } = await import('assemblyscript/asc')
  const messages = createMemoryStream()
  let binary
  const { error } = await main([entry, ...options, '--outFile', 'module.wasm'], {
    readFile: (name, base) => readFile(at(base, name), 'utf8').catch(() => null),
    writeFile: (_, contents) => void (binary = contents),
    listFiles: () => [],
    stderr: messages,
  })
  const output = messages.toString().trim()
  if (error !== null || binary === undefined) throw new SetupError(`${output}\n\n${entry} does not compile.`)
  if (output !== '') say(output)
  return binary
}

if (process.argv[1] === import.meta.filename) {
  try {
    for (const { entry, target } of modules) {
      const bytes = await compile(entry)
      if (!process.argv.includes('--check')) await writeFile(at(target), bytes)
      else if (!Buffer.from(bytes).equals(await readFile(at(target)))) {
        throw new SetupError(`${target} is not up to date: node scripts/build-wasm.mjs`)
      }
    }
  } catch (error) {
    fail(error)
  }
}
