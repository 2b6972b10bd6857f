// Captures the cases of a module: node capture-cases.mjs <dist> <cases module> <output folder> [require]. Run under whatever
// built the cases.
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [dist, module, folder, how] = process.argv.slice(2)
const { captureCode } = await import(pathToFileURL(join(dist, 'code/capture.js')).href)
const loaded = how === 'require' ? createRequire(module)(module) : await import(pathToFileURL(module).href)
const cases = loaded.cases ?? loaded.default.cases
for (const [at, { name, roots, use }] of cases.entries()) {
  let code
  try {
    code = captureCode([...roots, use].map((value) => ({ value, label: name })))
  } catch (error) {
    await writeFile(join(folder, `${at}.error`), String(error.stack))
    continue
  }
  await writeFile(join(folder, `${at}.code`), code.bytes)
}
