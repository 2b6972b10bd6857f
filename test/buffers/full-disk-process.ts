// A process of its own for full-disk.test.ts: does one thing where there is no room for it, then tells what came of it.
import { openSync, readFileSync, writeSync } from 'node:fs'
import { buildMap, bufferWriter, bytes, createPool, u32 } from '../../src/buffers/index.ts'

const MORE_THAN_FITS = 64
const mebibyte = new Uint8Array(2 ** 20).fill(1)

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as { readonly code?: string }).code ?? String(error)
  }
}

/** Appends until there is no more room, opens another file, and goes on appending. */
async function array(path: string): Promise<unknown> {
  const writer = bufferWriter(path, bytes)
  const append = () => codeOf(() => writer.append(mebibyte))
  const codes = Array.from({ length: MORE_THAN_FITS }, append).filter((code) => code !== undefined)
  // It gets the number of the descriptor that was closed.
  const other = `${path}.other`
  writeSync(openSync(other, 'w'), 'of somebody else')
  codes.push(append() ?? 'none')
  const closed = await writer.close().catch((error: unknown) => (error as { readonly code?: string }).code)
  return { codes: [...new Set(codes)], closed, other: readFileSync(other, 'utf8') }
}

/** Sorts more rows than there is room for. */
async function rows(path: string): Promise<unknown> {
  const entries = Array.from({ length: 200_000 }, (_, index) => [index, index] as const)
  return await buildMap(path, u32, u32, entries, { batchRows: 10_000 }).catch(
    (error: unknown) => (error as { readonly code?: string }).code,
  )
}

/** Packs until there is no more room, then reads what there is. */
function pool(folder: string): unknown {
  const held = createPool({ dir: folder })
  const positions: number[] = []
  const codes = Array.from({ length: MORE_THAN_FITS }, () => codeOf(() => positions.push(held.pack(bytes, mebibyte))))
  const whole = positions.every((position) => held.get(bytes, position).every((byte) => byte === 1))
  return { codes: [...new Set(codes.filter((code) => code !== undefined))], packed: positions.length === held.count, whole } // prettier-ignore
}

const [what, path = ''] = process.argv.slice(2)
process.stdout.write(JSON.stringify(await (what === 'array' ? array(path) : what === 'rows' ? rows(path) : pool(path))))
