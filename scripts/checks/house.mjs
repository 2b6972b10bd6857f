// House rules that no linter knows: coded errors only, outside systems named in one folder, file sizes, names that say something.
import { readFile } from 'node:fs/promises'
import { at, filesBelow } from '../paths.mjs'

const longest = 700

const rules = [
  { pattern: /\bnew Error\((?!\))/, in: /^src\//, say: 'a bare Error; use a class and code of src/errors.ts' },
  {
    pattern: /(?:from|import)\s*\(?\s*'@?redis(?:\/|')/,
    in: /^src\/(?!redis\/)/,
    say: 'the redis client belongs to src/redis',
  },
  { pattern: /(?:from|import)\s*\(?\s*'koffi'/, in: /^src\/(?!native\/)/, say: 'native code belongs to src/native' },
  {
    pattern: /\b(?:TODO|FIXME|XXX|HACK)\b|\bnot implemented\b/i,
    in: /^(?:src|scripts|bench|examples)\//,
    say: 'left open',
  },
  { pattern: /\b(?:it|test|describe)\.(?:only|todo)\(/, in: /^test\//, say: 'a focused or missing test' },
]

const drawers = /(?:^|\/)(?:utils?|helpers?|types|interfaces|common|misc)(?:\/|\.[a-z]+$)/

export async function check() {
  const problems = []
  for (const folder of ['src', 'test', 'scripts', 'bench', 'examples']) {
    for (const path of await filesBelow(folder, (name) => /\.(?:ts|mjs|js|lua)$/.test(name))) {
      if (drawers.test(path)) problems.push(`${path}: a drawer without a subject; name it after what it does`)
      const lines = (await readFile(at(path), 'utf8')).split('\n')
      if (lines.length > longest) problems.push(`${path}: ${lines.length} lines; the most is ${longest}`)
      // This file spells the patterns out.
      if (path === 'scripts/checks/house.mjs') continue
      for (const rule of rules.filter((candidate) => candidate.in.test(path))) {
        lines.forEach((line, index) => {
          if (rule.pattern.test(line)) problems.push(`${path}:${index + 1}: ${rule.say}`)
        })
      }
    }
  }
  return problems
}
