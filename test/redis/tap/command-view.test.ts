// Commands as a primary sends them, however their bytes are cut.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { CommandView } from '../../../src/redis/tap/command-view.ts'

function encode(command: readonly Uint8Array[]): Buffer {
  const parts = command.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), Buffer.from(arg), Buffer.from('\r\n')])
  return Buffer.concat([Buffer.from(`*${command.length}\r\n`), ...parts])
}

const commands = fc.array(
  fc.oneof(
    fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 5 }),
    // A line of its own keeps a link alive.
    fc.constant(undefined),
  ),
  { maxLength: 20 },
)

it('finds the commands of any bytes, and where a command is cut it waits', () => {
  fc.assert(
    fc.property(commands, fc.nat(), (list, cut) => {
      const bytes = Buffer.concat(list.map((command) => (command === undefined ? Buffer.from('\n') : encode(command))))
      const end = bytes.length === 0 ? 0 : cut % (bytes.length + 1)
      const view = new CommandView()
      const found: Buffer[][] = []
      let at = 0
      for (const limit of [end, bytes.length]) {
        for (let next = view.read(bytes, at, limit); next >= 0; next = view.read(bytes, at, limit)) {
          expect(next).toBeLessThanOrEqual(limit)
          at = next
          if (view.count > 0) found.push(view.copy())
        }
      }
      expect(at).toBe(bytes.length)
      const expected = list
        .filter((command) => command !== undefined)
        .map((command) => command.map((arg) => Buffer.from(arg)))
      expect(found).toEqual(expected)
    }),
  )
})

it('tells names and prefixes by their bytes', () => {
  const view = new CommandView()
  const bytes = encode(['Set', 'user:1', 'x'].map((arg) => Buffer.from(arg)))
  view.read(bytes, 0, bytes.length)
  expect([view.isLike(3, 0x73), view.isLike(3, 0x67), view.isLike(4, 0x73)]).toEqual([true, false, false])
  expect(view.begins(1, Buffer.from('user:'))).toBe(true)
  expect(view.begins(1, Buffer.from('user:11'))).toBe(false)
  expect(view.begins(1, Buffer.from('uses'))).toBe(false)
  expect(view.text(1)).toBe('user:1')
})
