// Commands come out as they went in, however the bytes were cut, and every byte is counted.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { CommandStream } from '../../../src/redis/tap/command-stream.ts'

const encode = (args: readonly Uint8Array[]): Buffer =>
  Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n')]),
  ])

it('cuts bytes into commands', () => {
  const command = fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 5 })
  const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 })
  fc.assert(
    fc.property(fc.array(command), cuts, fc.nat(1e9), (commands, sizes, start) => {
      const bytes = Buffer.concat(commands.flatMap((args) => [encode(args), Buffer.from('\n')]))
      const stream = new CommandStream(start)
      const found: Buffer[][] = []
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = sizes[i % sizes.length] as number
        for (const args of stream.push(bytes.subarray(at, at + size))) found.push(args.map((arg) => Buffer.from(arg)))
        at += size
      }
      expect(found).toEqual(commands.map((args) => args.map((arg) => Buffer.from(arg))))
      expect(stream.offset).toBe(start + bytes.length)
    }),
  )
})
