// The progress line: what it says, how often, and that it is silent off a terminal.
import { Writable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { amount, clock, startProgress } from '../../src/cli/progress.ts'

class Terminal extends Writable {
  readonly isTTY: boolean
  readonly columns: number
  readonly written: string[] = []
  constructor(isTTY = true, columns = 200) {
    super()
    this.isTTY = isTTY
    this.columns = columns
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk.toString())
    done()
  }
  get shown(): string {
    return (this.written.at(-1) ?? '').replace('\r\u001b[2K', '')
  }
}

function start(terminal: Terminal, unit: 'bytes' | 'records' = 'records') {
  const clockTime = { ms: 1000 }
  const progress = startProgress(terminal, { label: 'words', unit, now: () => clockTime.ms })
  return { progress, clockTime }
}

describe('the progress line', () => {
  it('shows share, done of total, rate and time left', () => {
    const terminal = new Terminal()
    const { progress, clockTime } = start(terminal)
    clockTime.ms += 1000
    progress.update(2500, 10_000)
    expect(terminal.shown).toBe(
      'words  [######..................]  25 %  2,500 records of 10,000 records  2,500 records/s  0:03 left',
    )
  })

  it('does without a total', () => {
    const terminal = new Terminal()
    const { progress, clockTime } = start(terminal, 'bytes')
    clockTime.ms += 2000
    progress.update(4 * 1024 * 1024)
    expect(terminal.shown).toBe('words  4.0 MiB  2.0 MiB/s')
  })

  it('draws at most ten times a second, and the last state at the end', () => {
    const terminal = new Terminal()
    const { progress, clockTime } = start(terminal)
    for (let i = 1; i <= 1000; i++) {
      clockTime.ms += 1
      progress.update(i, 1000)
    }
    expect(terminal.written.length).toBeLessThanOrEqual(10)
    progress.end()
    expect(terminal.written.at(-2)).toContain('100 %  1,000 records of 1,000 records')
    expect(terminal.written.at(-1)).toBe('\n')
  })

  it('forgets old speed: a stall shows', () => {
    const terminal = new Terminal()
    const { progress, clockTime } = start(terminal)
    for (let i = 1; i <= 20; i++) {
      clockTime.ms += 500
      progress.update(Math.min(i, 10) * 1000, 100_000)
    }
    expect(terminal.shown).toContain('0 records/s')
    expect(terminal.shown).not.toContain('left')
  })

  it('never wraps, and keeps lines of text whole', () => {
    const terminal = new Terminal(true, 30)
    const { progress, clockTime } = start(terminal)
    clockTime.ms += 1000
    progress.update(5, 10)
    expect(terminal.shown.length).toBe(29)
    progress.line('a remark that is longer than the terminal is wide')
    expect(terminal.written.at(-2)).toBe('\r\u001b[2Ka remark that is longer than the terminal is wide\n')
  })

  it('writes nothing but remarks where there is no terminal', () => {
    const terminal = new Terminal(false)
    const { progress, clockTime } = start(terminal)
    clockTime.ms += 1000
    progress.update(5, 10)
    progress.line('a remark')
    progress.end()
    expect(terminal.written).toEqual(['a remark\n'])
  })
})

describe('amounts and times', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [3 * 1024 ** 3, '3.0 GiB'],
  ])('%d bytes are %s', (count, text) => expect(amount(count, 'bytes')).toBe(text))

  it.each([
    [0, '0:00'],
    [6.2, '0:07'],
    [750, '12:30'],
    [3723, '1:02:03'],
  ])('%d seconds are %s', (seconds, text) => expect(clock(seconds)).toBe(text))

  it('never shows sixty seconds or minutes', () => {
    fc.assert(fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (seconds) => !/:60/.test(clock(seconds))))
  })
})
