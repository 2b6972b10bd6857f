// A process of its own for writable.test.ts. `count FILE N`: adds N times to every number of the first object, by each
// way there is. `scan FILE`: reads everything, and tells which memory of the map is its own.
import { readFileSync } from 'node:fs'
import { openArray } from '../../src/buffers/index.ts'
import { Counters } from './counters.ts'

const [command, file = '', times = '0'] = process.argv.slice(2)

function count(): void {
  const counters = openArray(file, Counters, { writable: true })
  for (let round = 0; round < Number(times); round++) {
    for (const name of ['i8', 'u16', 'i32', 'u32', 'f32', 'f64'] as const) counters.add(0, name, 1)
    counters.add(0, 'i64', 1n)
    counters.add(0, 'u64', 2n)
    for (;;) {
      const before = counters.at(0).swapped
      if (counters.compareAndSwap(0, 'swapped', before, before + 1)) break
    }
  }
  counters.close()
}

function scan(): void {
  const array = openArray(file, { preload: 'all' })
  let rows = 0
  for (const row of array.scan()) rows += row['name'] === undefined ? 0 : 1
  const own = { shared: 0, dirty: 0 }
  let inside = false
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) inside = line.endsWith(file)
    const [, name, kilobytes] = /^(\w+): +(\d+) kB/.exec(line) ?? []
    if (!inside || name === undefined) continue
    if (name === 'Private_Dirty') own.dirty += Number(kilobytes)
    if (name === 'Rss') own.shared += Number(kilobytes)
  }
  process.stdout.write(JSON.stringify({ rows, ...own }))
}

if (command === 'count') count()
else scan()
