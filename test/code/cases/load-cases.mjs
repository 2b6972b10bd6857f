// Loads captured cases and runs them: node load-cases.mjs <dist> <folder>. Prints the results, serialised.
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { serialize } from 'node:v8'

const [dist, folder] = process.argv.slice(2)
const { loadCode } = await import(pathToFileURL(join(dist, 'code/load.js')).href)
const results = {}
for (const file of await readdir(folder)) {
  const [at, kind] = file.split('.')
  try {
    if (kind === 'error') throw new Error(`not captured: ${await readFile(join(folder, file), 'utf8')}`)
    const bytes = await readFile(join(folder, file))
    const roots = await loadCode(bytes, { known: new Map(), base: import.meta.url })
    results[at] = { value: await roots.at(-1)(...roots.slice(0, -1)) }
  } catch (error) {
    results[at] = { error: String(error?.stack ?? error), cause: String(error?.cause?.stack ?? '') }
  }
}
process.stdout.write(serialize(results).toString('base64'))
