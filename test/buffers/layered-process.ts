// A process of its own for layered.test.ts: adds its keys to a layered map, rebuilding after each, then tells what it
// sees.
import { openLayered, str, u32 } from '../../src/buffers/index.ts'

const [file = '', name = '', count = '0'] = process.argv.slice(2)
const map = openLayered(file, str, u32)
for (let index = 0; index < Number(count); index++) {
  map.set(`${name} ${index}`, index)
  await map.rebuild()
}
process.stdout.write(JSON.stringify({ size: map.size, pending: map.pending }))
map.close()
