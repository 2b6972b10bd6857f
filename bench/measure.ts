// Runs a command and says what it cost: wall time, CPU of the whole process tree, memory. Linux only (/proc). Usage:
//   tsx measure.ts [--pid PID ...] -- COMMAND ARG ...
//
// CPU: what the kernel adds up for us when the command is reaped holds everything that was reaped below it. A process that
// lost its parent (a server that outlives its starter) is not in that sum: it is watched and added. So are processes named
// by pid, such as a server that was there before.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { argv, exit, stderr, stdout } from 'node:process'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { sample, ticksPerSecond, type Sample, type Ticks } from './process.ts'

export interface Measurement {
  readonly exitCode: number
  readonly wallSeconds: number
  readonly userSeconds: number
  readonly systemSeconds: number
  /** The most that all processes together had resident at one moment (sampled; shared pages count in each). */
  readonly peakBytes: number
  /** The most that one process had. */
  readonly largestBytes: number
  readonly stdout: string
}

export interface MeasureOptions {
  /** Processes that are not below the command, but work for it. */
  readonly pids?: readonly number[]
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

const sampleMs = 20

// Node reads the certificates that this variable names at each of its starts, which takes longer than all else it does then:
// a matter of the machine, not of what is measured.
const { NODE_EXTRA_CA_CERTS: _, ...ownEnvironment } = process.env

/** Set for the command, and inherited by what it starts: how an orphan is known. */
const markName = 'MEASURED_AS'

function bearsMark(pid: number, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${markName}=${mark}`)
  } catch {
    return false
  }
}

/** What works for a command, as it was last seen. */
class Tree {
  readonly #root: number
  readonly #mark: string
  /** Of the named processes: at the start, and as last seen. */
  readonly #named = new Map<string, { readonly first: Sample; last: Sample }>()
  /** Processes with the mark that are not below the command, by pid and start. */
  readonly #orphans = new Map<string, Sample>()
  readonly #strangers = new Set<string>()
  #alive: ReadonlySet<string> = new Set()
  peakBytes = 0
  largestBytes = 0

  constructor(root: number, mark: string, named: readonly number[]) {
    this.#root = root
    this.#mark = mark
    for (const pid of named) {
      const first = sample(pid)
      if (first !== undefined) this.#named.set(keyOf(first), { first, last: first })
    }
  }

  look(): void {
    const all = new Map<number, Sample>()
    for (const name of readdirSync('/proc')) {
      const one = /^\d+$/.test(name) ? sample(Number(name)) : undefined
      if (one !== undefined) all.set(one.pid, one)
    }
    const below = (one: Sample | undefined): boolean =>
      one !== undefined && (one.pid === this.#root || below(all.get(one.parent)))
    let sum = 0
    for (const one of all.values()) {
      const key = keyOf(one)
      const named = this.#named.get(key)
      if (named !== undefined) named.last = one
      else if (this.#strangers.has(key)) continue
      else if (below(one)) this.#orphans.delete(key)
      else {
        if (!this.#orphans.has(key) && !bearsMark(one.pid, this.#mark)) {
          this.#strangers.add(key)
          continue
        }
        this.#orphans.set(key, one)
      }
      sum += one.residentBytes
      this.largestBytes = Math.max(this.largestBytes, one.residentBytes)
    }
    this.peakBytes = Math.max(this.peakBytes, sum)
    this.#alive = new Set([...all.values()].map(keyOf))
  }

  /** What is in no sum of the kernel's: orphans, with what they reaped, and the named processes. */
  outside(): Ticks {
    const parents = new Set([...this.#orphans.values()].map((one) => one.pid))
    // What an orphan's child used is in the orphan's own sum once the child is gone.
    const orphans = [...this.#orphans].filter(([key, one]) => this.#alive.has(key) || !parents.has(one.parent))
    const named = [...this.#named.values()].map(({ first, last }) => ({
      user: last.own.user - first.own.user,
      system: last.own.system - first.own.system,
    }))
    return [...orphans.flatMap(([, one]) => [one.own, one.children]), ...named].reduce(plus, { user: 0, system: 0 })
  }
}

function keyOf({ pid, started }: Sample): string {
  return `${pid} ${started}`
}

function plus(a: Ticks, b: Ticks): Ticks {
  return { user: a.user + b.user, system: a.system + b.system }
}

/** Runs the command with its stderr passed through, one at a time: two at once would count each other. */
export async function measure(
  command: string,
  args: readonly string[],
  options: MeasureOptions = {},
): Promise<Measurement> {
  const { pids = [], cwd, env = ownEnvironment } = options
  const before = sample('self')?.children ?? { user: 0, system: 0 }
  const started = performance.now()
  const mark = `${process.pid}.${started}`
  const child = spawn(command, args, {
    ...(cwd !== undefined && { cwd }),
    env: { ...env, [markName]: mark },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const tree = new Tree(child.pid ?? 0, mark, pids)
  const timer = setInterval(() => tree.look(), sampleMs)
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? 128))
    })
    const wallSeconds = (performance.now() - started) / 1000
    tree.look()
    const after = sample('self')?.children ?? before
    const outside = tree.outside()
    return {
      exitCode,
      wallSeconds,
      userSeconds: (after.user - before.user + outside.user) / ticksPerSecond,
      systemSeconds: (after.system - before.system + outside.system) / ticksPerSecond,
      peakBytes: tree.peakBytes,
      largestBytes: tree.largestBytes,
      stdout: output,
    }
  } finally {
    clearInterval(timer)
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { pid: { type: 'string', multiple: true } },
  })
  const [command, ...args] = positionals
  if (command === undefined) {
    stderr.write('usage: tsx measure.ts [--pid PID ...] -- COMMAND ARG ...\n')
    exit(2)
  }
  const { stdout: output, ...figures } = await measure(command, args, { pids: (values.pid ?? []).map(Number) })
  stdout.write(output)
  stderr.write(`${JSON.stringify(figures)}\n`)
  process.exitCode = figures.exitCode
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) await main()
