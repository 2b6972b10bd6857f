// One line on a terminal that says how far something is: done, rate, time left. Silent where stderr is no terminal.
import type { Writable } from 'node:stream'

/** What is counted, with the words for it. Bytes are shown in binary units. */
export type ProgressUnit = 'bytes' | 'records' | 'rows' | 'tasks'

export interface Progress {
  /** Says how far it is; `total` where it is known. Draws at most ten times a second. */
  update(done: number, total?: number): void
  /** Writes a line of its own above the progress line. */
  line(text: string): void
  /** Draws the last state and leaves it standing. */
  end(): void
}

interface ProgressOptions {
  readonly label: string
  readonly unit: ProgressUnit
  /** Milliseconds, from any start. Default: performance.now(). */
  readonly now?: () => number
}

/** What a terminal stream has over others. */
type TerminalStream = Writable & { readonly isTTY?: boolean; readonly columns?: number }

const drawEveryMs = 100
/** The rate is that of about the last this many milliseconds: steady to read, and quick to show a stall. */
const rateOverMs = 3000

const eraseLine = '\r\u001b[2K'

export function startProgress(stream: TerminalStream, options: ProgressOptions): Progress {
  return stream.isTTY === true ? new ProgressLine(stream, options) : new Silence(stream)
}

class Silence implements Progress {
  readonly #stream: Writable
  constructor(stream: Writable) {
    this.#stream = stream
  }
  update(): void {}
  line(text: string): void {
    this.#stream.write(`${text}\n`)
  }
  end(): void {}
}

class ProgressLine implements Progress {
  readonly #stream: TerminalStream
  readonly #options: ProgressOptions
  readonly #now: () => number
  readonly #samples: { readonly at: number; readonly done: number }[]
  #done = 0
  #total: number | undefined
  #drawnAt = -Infinity

  constructor(stream: TerminalStream, options: ProgressOptions) {
    this.#stream = stream
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    this.#samples = [{ at: this.#now(), done: 0 }]
  }

  update(done: number, total?: number): void {
    this.#done = done
    this.#total = total
    if (this.#now() - this.#drawnAt >= drawEveryMs) this.#draw()
  }

  line(text: string): void {
    this.#stream.write(`${eraseLine}${text}\n`)
    this.#draw()
  }

  end(): void {
    this.#draw()
    this.#stream.write('\n')
  }

  #draw(): void {
    const at = this.#now()
    this.#drawnAt = at
    this.#samples.push({ at, done: this.#done })
    while (this.#samples.length > 2 && at - (this.#samples[1]?.at ?? at) > rateOverMs) this.#samples.shift()
    const first = this.#samples[0] ?? { at, done: this.#done }
    const rate = at > first.at ? ((this.#done - first.done) * 1000) / (at - first.at) : 0
    const text = this.#text(rate)
    this.#stream.write(eraseLine + text.slice(0, Math.max(20, this.#stream.columns ?? 80) - 1))
  }

  #text(rate: number): string {
    const { label, unit } = this.#options
    const parts = [label]
    const total = this.#total
    if (total === undefined) parts.push(amount(this.#done, unit))
    else {
      const share = total === 0 ? 1 : Math.min(1, this.#done / total)
      parts.push(bar(share), `${Math.floor(share * 100)} %`, `${amount(this.#done, unit)} of ${amount(total, unit)}`)
    }
    parts.push(`${amount(Math.round(rate), unit)}/s`)
    if (total !== undefined && rate > 0 && this.#done < total) parts.push(`${clock((total - this.#done) / rate)} left`)
    return parts.join('  ')
  }
}

const barWidth = 24

function bar(share: number): string {
  const full = Math.round(share * barWidth)
  return `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}]`
}

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `12,345 records`, `1.5 MiB`. */
export function amount(count: number, unit: ProgressUnit): string {
  if (unit !== 'bytes') return `${count.toLocaleString('en')} ${unit}`
  const power = count < 1024 ? 0 : Math.min(binary.length - 1, Math.floor(Math.log2(count) / 10))
  const scaled = count / 1024 ** power
  return `${power === 0 ? scaled : scaled.toFixed(1)} ${binary[power]}`
}

/** Seconds as `0:07`, `12:30`, `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.ceil(seconds)
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const shown = parts[0] === 0 ? parts.slice(1) : parts
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
}
