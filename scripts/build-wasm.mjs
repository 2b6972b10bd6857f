// Compiles the AssemblyScript of src/native/text to the text.wasm beside it, which is part of the repository: nobody needs the
// compiler to run or build Gearmill. `--check` compares instead of writing. Run it after a change in src/native/text/assembly.
import { readFile, writeFile } from 'node:fs/promises'
import { at, fail, say, SetupError } from './paths.mjs'

const entry = 'src/native/text/assembly/index.ts'
const target = 'src/native/text/text.wasm'

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

/** The module's bytes. */
export async function compile() {
  const { createMemoryStream, main } = await import('assemblyscript/asc')
  const messages = createMemoryStream()
  let binary
  const { error } = await main([entry, ...options, '--outFile', 'text.wasm'], {
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

/** Whether text.wasm is what its sources compile to. */
export async function isUpToDate() {
  return Buffer.from(await compile()).equals(await readFile(at(target)))
}

if (process.argv[1] === import.meta.filename) {
  try {
    if (!process.argv.includes('--check')) await writeFile(at(target), await compile())
    else if (!(await isUpToDate())) throw new SetupError(`${target} is not up to date: node scripts/build-wasm.mjs`)
  } catch (error) {
    fail(error)
  }
}
