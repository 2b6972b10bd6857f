// Merges maps of the same schemas into one, in bounded memory.
import { isDeepStrictEqual } from 'node:util'
import { BufferError } from '../errors.ts'
import { feed } from './array-writer.ts'
import { BufferMap } from './map.ts'
import { checkMapOptions, MapWriter, type MapOptions } from './map-writer.ts'
import { schemaToJson } from './schema-json.ts'
import { describeValue, nodeIn } from './schema.ts'

/**
 * Writes one map with the entries of several; where a key has one value only, that of the last file counts. All have
 * to agree in their schemas and in the form of their keys. Returns the number of entries read.
 * Errors: `BUFFER_SCHEMA`, `BUFFER_OPTION`, and those of `openMap` and `buildMap`.
 */
export async function mergeMaps(
  path: string,
  parts: readonly string[],
  options: Omit<MapOptions, 'approximate' | 'hashBits'> = {},
): Promise<number> {
  checkMapOptions(options)
  if (!Array.isArray(parts)) {
    throw new BufferError('BUFFER_OPTION', `mergeMaps: expected an array of paths, got ${describeValue(parts)}`)
  }
  const maps: BufferMap<unknown, unknown>[] = []
  let writer: MapWriter | undefined
  try {
    for (const part of parts) maps.push(new BufferMap(part, {}))
    const [first] = maps
    if (!first) throw new BufferError('BUFFER_OPTION', 'mergeMaps: expected at least one file')
    for (const map of maps) checkSame(first, map)
    const { keySchema, valueSchema, approximate, hashBits, multi } = first
    const target = new MapWriter(path, keySchema, valueSchema, { multi, ...options, approximate, hashBits })
    writer = target
    for (const map of maps) {
      await feed(map.rowsWithWords(), ({ high, low, key, value }) => target.addRow(high, low, key, value))
    }
    await target.finish()
    return target.count
  } catch (error) {
    writer?.abort()
    throw error
  } finally {
    for (const map of maps) map.close()
  }
}

function checkSame(a: BufferMap<unknown, unknown>, b: BufferMap<unknown, unknown>): void {
  const form = (map: BufferMap<unknown, unknown>) => ({
    schema: schemaToJson([nodeIn(map.keySchema), nodeIn(map.valueSchema)]),
    approximate: map.approximate,
    hashBits: map.hashBits,
  })
  if (!isDeepStrictEqual(form(a), form(b))) {
    throw new BufferError(
      'BUFFER_SCHEMA',
      `${b.path} and ${a.path} differ in their schemas or in the form of their keys`,
    )
  }
}
