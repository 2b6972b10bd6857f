// The house's own checks find what they are for, and nothing in what is right.
import { describe, expect, it } from 'vitest'
import { Project } from './project.ts'

async function check(name: string, files: Readonly<Record<string, string>>): Promise<string[]> {
  await using project = await Project.make(files)
  const code = `const { check } = await import('./scripts/checks/${name}.mjs'); console.log(JSON.stringify(await check()))`
  const { stdout, stderr } = await project.node(['--input-type=module', '-e', code])
  expect(stderr).toBe('')
  return JSON.parse(stdout) as string[]
}

describe('layers', () => {
  it('lets imports point down', async () => {
    const files = {
      'src/cli/a.ts': `import { b } from '../mill.ts'\nimport type { c } from '../engine/c.ts'\n`,
      'src/index.ts': `export { b } from './mill.ts'\n`,
      'src/triggers/t.ts': `import {\n  a,\n  b,\n} from '../pipeline/p.ts'\n`,
      'src/buffers/x.ts': `import { y } from '../native/y.ts'\nimport { ConfigError } from '../errors.ts'\n`,
    }
    expect(await check('layers', files)).toEqual([])
  })

  it.each([
    ['src/engine/a.ts', `import { b } from '../pipeline/b.ts'\n`, 'imports src/pipeline/b.ts'],
    ['src/engine/a.ts', `import type { b } from '../pipeline/b.ts'\n`, 'imports src/pipeline/b.ts'],
    ['src/redis/deep/a.ts', `export {\n  b,\n} from '../../mill.ts'\n`, 'imports src/mill.ts'],
    ['src/kernels/a.ts', `import { b } from '../triggers/b.ts'\n`, 'imports src/triggers/b.ts'],
    ['src/native/a.ts', `const b = await import('../buffers/b.ts')\n`, 'imports src/buffers/b.ts'],
    ['src/errors.ts', `import '../test/x.ts'\n`, 'outside of src'],
    ['src/elsewhere/a.ts', '', 'is not one of the layers'],
  ])('refuses %s with %j', async (path, text, problem) => {
    expect(await check('layers', { [path]: text })).toEqual([expect.stringContaining(problem)])
  })
})

describe('house rules', () => {
  it.each([
    ['src/a.ts', `throw new Error('x')\n`, 'src/a.ts:1: a bare Error'],
    ['src/engine/a.ts', `\nimport { x } from '@redis/client'\n`, 'src/engine/a.ts:2: the redis client'],
    ['src/blocks/a.ts', `import k from 'koffi'\n`, 'native code'],
    ['src/a.ts', `// ${'TO'}${'DO'}: later\n`, 'left open'],
    ['src/a.ts', 'export {}\n'.repeat(800), '801 lines'],
    ['src/code/utils.ts', '', 'a drawer'],
    ['test/a.test.ts', `it.${'only'}('x', () => {})\n`, 'a focused'],
  ])('refuse %s with %j', async (path, text, problem) => {
    const problems = await check('house', { [path]: text })
    expect(problems).toEqual([expect.stringContaining(problem)])
  })

  it('let through what is meant so', async () => {
    const files = {
      'src/redis/client.ts': `import { createClient } from '@redis/client'\n`,
      'src/native/mmap.ts': `import koffi from 'koffi'\n`,
      'src/code/decode.ts': 'const empty = new Error()\n',
    }
    expect(await check('house', files)).toEqual([])
  })
})
