// What is generated from the code is what is committed.
import { readFile } from 'node:fs/promises'
import { generate } from '../generate.mjs'
import { at } from '../paths.mjs'

export async function check() {
  const problems = []
  for (const [path, text] of await generate()) {
    const committed = await readFile(at(path), 'utf8').catch(() => undefined)
    if (committed !== text) problems.push(`${path} is not what the code says; run: npm run generate`)
  }
  return problems
}
