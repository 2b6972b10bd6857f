import { describe, expect, it } from 'vitest'
import { Machine } from '../../../src/native/quickjs/machine.ts'

/** A machine whose memory is remembered, and the function that it calls. */
async function ready(source: string, memoryMb = 32) {
  const machine = await Machine.create({ memoryMb })
  const loaded = machine.load(source, 'test.js', 10_000)
  if (!('value' in loaded)) throw new TypeError(loaded.trap.message)
  machine.remember()
  return { machine, call: (text: string, limitMs = 10_000) => machine.call(loaded.value, text, limitMs) }
}

describe('a machine', () => {
  it('starts each call from the same memory, whatever the calls before did', async () => {
    const source = `(() => {
      let count = 0
      const kept = new Map([['a', [1, 2, 3]]])
      return (text) => {
        count++
        const seen = [count, kept.size, typeof globalThis.left, /x+/.exec('axx').index, 10n ** 20n, 'ß'.normalize('NFKD').toUpperCase()]
        globalThis.left = [...text].map((char) => ({ char, big: new Float64Array(100) }))
        for (let i = 0; i < 200; i++) kept.set('key' + i + text, new RegExp(text + i))
        kept.delete('a')
        Array.prototype.map = undefined
        return seen.join()
      }
    })()`
    const { call } = await ready(source)
    for (let i = 0; i < 200; i++) expect(call(`t${i}`)).toEqual({ text: '1,1,undefined,1,100000000000000000000,SS' })
  })

  it('goes on after calls that were ended', async () => {
    const { machine, call } = await ready(`(() => {
      let count = 0
      return (text) => {
        count++
        if (text === 'loop') for (;;) {}
        if (text === 'large') { const all = []; for (;;) all.push(new Array(1000).fill(1)) }
        return 'count ' + count
      }
    })()`)
    for (const [text, kind] of [
      ['loop', 'timeout'],
      ['large', 'memory'],
    ] as const) {
      expect(call(text, kind === 'timeout' ? 50 : 30_000)).toMatchObject({ trap: { kind } })
      expect(call('')).toEqual({ text: 'count 1' })
    }
    expect(machine.grownBytes).toBeLessThanOrEqual(16 * 1024 * 1024)
    expect(machine.isSpoiled).toBe(false)
  })

  it('says what was thrown, and where', async () => {
    const { call } = await ready('(text) => { throw new RangeError(text) }')
    expect(call('no')).toEqual({
      trap: { kind: 'thrown', name: 'RangeError', message: 'no', stack: expect.stringContaining('test.js:1') },
    })
  })

  it('is spoiled where the stack of the thread ends inside of the engine', async () => {
    const { machine, call } = await ready('(text) => JSON.parse(text) && "parsed"')
    expect(call('['.repeat(1_000_000))).toMatchObject({ trap: { kind: 'stack' } })
    expect(machine.isSpoiled).toBe(true)
  })
})
