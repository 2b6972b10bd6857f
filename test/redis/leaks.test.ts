import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const program = fileURLToPath(new URL('../fixtures/client-process.ts', import.meta.url))

test('close() leaves no socket, timer or process that would keep the program alive', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program])
  const left: string[] = JSON.parse(stdout)
  expect(left.filter((resource) => /Timeout|TCP|Process|Immediate/.test(resource))).toEqual([])
})
