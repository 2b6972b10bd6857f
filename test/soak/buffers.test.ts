// Shared buffers at length: a million damaged files, files beyond 4 GiB, a million objects that nobody keeps.
import { rmSync, statSync } from 'node:fs'
import { expect, it } from 'vitest'
import { buildArray, bytes, openArray, str, struct, u32 } from '../../src/buffers/index.ts'
import { temporaryFolder } from '../buffers/folder.ts'
import { fuzz } from '../buffers/fuzzing.ts'

const path = temporaryFolder()

it('reads a million damaged files with a value or a coded error', { timeout: 7_200_000 }, async () => {
  const { opened } = await fuzz(path(), 1_000_000, 1_000_000)
  expect(opened).toBeGreaterThan(400_000)
})

it('writes and reads a file beyond 4 GiB', { timeout: 1_800_000 }, async () => {
  const file = path()
  const Row = struct('Row', { id: u32, data: bytes, name: str })
  const count = 4700
  const megabyte = new Uint8Array(2 ** 20)
  function* rows() {
    for (let id = 0; id < count; id++) {
      megabyte[0] = id
      megabyte[2 ** 20 - 1] = id >> 8
      yield { id, data: megabyte, name: `row ${id}` }
    }
  }
  await buildArray(file, Row, rows())
  expect(statSync(file).size).toBeGreaterThan(4.5 * 2 ** 30)
  const array = openArray(file, Row)
  expect(array.length).toBe(count)
  const seen = Array.from({ length: count }, (_, place) => {
    const { id, data, name } = array.at(place)
    return id === place && data[0] === place % 256 && data[2 ** 20 - 1] === place >> 8 && name === `row ${place}`
  })
  expect(seen.filter((right) => !right)).toEqual([])
  array.close()
  rmSync(file)
})

it('builds from a million objects that are gone at once, in bounded memory', { timeout: 600_000 }, async () => {
  const file = path()
  const Row = struct('Row', { id: u32, name: str, inner: struct('Inner', { id: u32 }) })
  const count = 1_000_000
  let most = 0
  function* rows() {
    for (let id = 0; id < count; id++) {
      if (id % 50_000 === 0) most = Math.max(most, process.memoryUsage().rss)
      yield { id, name: `name ${id % 5000}`, inner: { id } }
    }
  }
  const before = process.memoryUsage().rss
  await buildArray(file, Row, rows(), { intern: true })
  // Two generations of remembered values, the index, and what the collector leaves lying about.
  expect((most - before) / 2 ** 20).toBeLessThan(400)
  let wrong = 0
  let place = 0
  for (const row of openArray(file, Row).scan()) {
    if (row.id !== place || row.inner.id !== place || row.name !== `name ${place % 5000}`) wrong++
    place++
  }
  expect([wrong, place]).toEqual([0, count])
})
