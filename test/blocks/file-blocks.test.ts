import { mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FileBlocks } from '../../src/blocks/file-blocks.ts'
import { fileError } from '../../src/blocks/file-errors.ts'
import { bytesOf, missing, readAll, heldByHundredMegabytes, testStore, write } from './conformance.ts'

async function filesIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

describe('FileBlocks', () => {
  testStore(256 * 1024, async () => {
    const parent = await mkdtemp(join(tmpdir(), 'gearmill-test-'))
    const dir = join(parent, 'made', 'when needed')
    return {
      store: new FileBlocks(dir),
      list: () => filesIn(parent),
      pieces: async () => {
        const paths = await filesIn(dir)
        return await Promise.all(
          paths.map(async (path) => ({
            bytes: await readFile(path),
            replace: (bytes) => (bytes === undefined ? rm(path) : writeFile(path, bytes)),
          })),
        )
      },
      reopen: ['file', dir],
      close: () => rm(parent, { recursive: true }),
    }
  })
})

describe('FileBlocks and the file system', () => {
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gearmill-test-'))
  })
  afterAll(() => rm(dir, { recursive: true }))

  test('100 MB pass through bounded memory', async () => {
    expect(await heldByHundredMegabytes(new FileBlocks(dir))).toBeLessThan(32 * 1024 * 1024)
  })

  test('a directory that cannot be made is PLAN_FILE, and names the path', async () => {
    const file = join(dir, 'a file')
    await writeFile(file, '')
    const store = new FileBlocks(file)
    const refused = expect.objectContaining({ code: 'PLAN_FILE', message: expect.stringContaining(file) })
    await expect(write(store, 'o', 'n', [])).rejects.toThrow(refused)
    await expect(store.writer('o', 'n').append(bytesOf(1_000_000))).rejects.toThrow(refused)
    await expect(readAll(store, 'o', 'n')).rejects.toThrow(refused)
  })

  test('an owner that is removed while its block is written: the block is missing', async () => {
    const store = new FileBlocks(dir)
    const writer = store.writer('o', 'n')
    await writer.append(bytesOf(1_000_000))
    await store.remove('o')
    await expect(writer.close()).rejects.toThrow(missing)
    expect(await filesIn(dir)).not.toContainEqual(expect.stringContaining('.tmp'))
  })

  test.runIf(process.platform === 'linux')('a full disk is EXECUTION_BLOCK_SPACE', async () => {
    const full = await open('/dev/full', 'w')
    const thrown: unknown = await full.writeFile('x').catch((error: unknown) => error)
    await full.close()
    expect(fileError(thrown, 'write', '/dev/full')).toMatchObject({ code: 'EXECUTION_BLOCK_SPACE', retryable: true })
  })
})
