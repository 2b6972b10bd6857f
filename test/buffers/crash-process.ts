// A process of its own for crash.test.ts, which is killed while it writes. `endless FILE`: builds the array again and
// again, each time of another number, and says which when it is there. `half FILE`: stops in the middle of one.
import { bufferWriter, buildArray, u32 } from '../../src/buffers/index.ts'

const [command, file = ''] = process.argv.slice(2)
const say = (text: string) => process.stdout.write(`${text}\n`)

if (command === 'endless') {
  for (let number = 1; ; number++) {
    await buildArray(
      file,
      u32,
      Array.from({ length: 20_000 }, () => number),
      { segmentBytes: 8192 },
    )
    say(String(number))
  }
} else {
  const writer = bufferWriter(file, u32)
  for (let index = 0; index < 1_000_000; index++) writer.append(7)
  say('half')
  process.stdin.resume()
}
