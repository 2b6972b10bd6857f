import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { buildArray, openArray, u32 } from '../../src/buffers/index.ts'
import { temporaryFolder } from './folder.ts'

const path = temporaryFolder()
const script = new URL('./crash-process.ts', import.meta.url).pathname

/** Starts a writer, and kills it when it has said so many lines; returns the last. */
async function killAfter(lines: number, command: string, file: string): Promise<string> {
  const writer = spawn(process.execPath, ['--import', 'tsx', script, command, file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(writer, 'exit')
  let last = ''
  let count = 0
  for await (const line of createInterface(writer.stdout)) {
    last = line
    if (++count === lines) writer.kill('SIGKILL')
  }
  await ended
  return last
}

describe('a writer that is killed', () => {
  it('at any time leaves the old file or the new one, whole', async () => {
    const file = path()
    for (const lines of [1, 2, 3, 5, 8]) {
      const said = Number(await killAfter(lines, 'endless', file))
      const array = openArray(file, u32, { verify: 'all' })
      const numbers = new Set(array.scan())
      expect([array.length, numbers.size]).toEqual([20_000, 1])
      // What was confirmed is there, or the next one is already.
      expect([said, said + 1]).toContain(array.get(0))
      array.close()
    }
  })

  it('in the middle leaves what was there', async () => {
    const file = path()
    await buildArray(file, u32, [1, 2, 3])
    await killAfter(1, 'half', file)
    expect([...openArray(file, u32, { verify: 'all' }).scan()]).toEqual([1, 2, 3])
  })
})
