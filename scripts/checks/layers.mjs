// Imports point down the layers (ARCHITECTURE.md names them); folders that stand side by side do not know each other.
import { readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import { at, filesBelow } from '../paths.mjs'

// From the top. A list within the list: side by side. `together` may import each other.
const layers = [
  ['cli'],
  ['dashboard'],
  { together: ['index.ts', 'mill.ts', 'mill'] },
  ['triggers', 'kernels', 'matrix', 'models'],
  ['pipeline'],
  ['engine'],
  ['code'],
  ['blocks'],
  ['codec'],
  ['buffers'],
  ['native'],
  ['redis'],
  ['server'],
  ['config.ts'],
  ['errors.ts'],
]

// Formatting is fixed by prettier, so statements start a line and specifiers are in single quotes.
const statement = /^(?:import|export)\b[^'"`;]*?\bfrom\s+'(\.[^']+)'|^import\s+'(\.[^']+)'|\bimport\(\s*'(\.[^']+)'/gm

const partOf = (path) => path.split('/')[1]
const layerOf = (part) => layers.findIndex((layer) => (layer.together ?? layer).includes(part))

export async function check() {
  const problems = []
  for (const path of await filesBelow('src', (name) => name.endsWith('.ts'))) {
    const from = partOf(path)
    const layer = layerOf(from)
    if (layer < 0) {
      problems.push(`${path}: '${from}' is not one of the layers`)
      continue
    }
    const source = await readFile(at(path), 'utf8')
    for (const match of source.matchAll(statement)) {
      const target = posix.join(posix.dirname(path), match[1] ?? match[2] ?? match[3])
      if (!target.startsWith('src/')) {
        problems.push(`${path}: imports ${target}, which is outside of src`)
        continue
      }
      const to = partOf(target)
      if (to === from || layerOf(to) > layer || (layerOf(to) === layer && layers[layer].together)) continue
      problems.push(`${path}: imports ${target}, but ${to} is not below ${from}`)
    }
  }
  return problems
}
