// One private server: a redis-server or valkey-server process of our own, on a free loopback port or a unix socket.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ServerError } from '../errors.ts'
import { isAlive } from './alive.ts'
import { findServer, type ServerBinary } from './binary.ts'
import { freePorts } from './ports.ts'
import { forgetDirectory, forgetProcess, watchDirectory, watchProcess } from './watchdog.ts'
import { Wire, type WireAddress } from './wire.ts'

/** What the server keeps in its directory. */
export type Persistence = 'none' | 'rdb' | 'aof' | 'both'

export interface ServerOptions {
  /** Default: `findServer()`. */
  readonly binary?: ServerBinary
  /** Listen on a unix socket in the directory, and on no port. Default: false. */
  readonly socket?: boolean
  /** Default: a free one. */
  readonly port?: number
  /** Where the data go; it is made if missing and kept after stop(). Default: a temporary directory, removed by stop(). */
  readonly dir?: string
  /** Default: none. */
  readonly password?: string
  /** More lines of the configuration file, such as `{ maxmemory: '100mb' }`; they win over Gearmill's own. */
  readonly config?: Readonly<Record<string, string>>
  /** Default: 'none'. The append-only file is synced every second. */
  readonly persistence?: Persistence
  /** Gives up a start that is under way. */
  readonly signal?: AbortSignal
}

export interface PrivateServer {
  /** With the password, ready for connect(). */
  readonly url: string
  /** 0 where it listens on a unix socket. */
  readonly port: number
  readonly socket?: string
  /** Of the process that runs now: restart() changes it. */
  readonly pid: number
  readonly dir: string
  readonly password?: string
  /** Ends the server (kept data are saved first) and removes a temporary directory. */
  stop(): Promise<void>
  /** SIGKILL. The directory stays until stop(). */
  kill(): Promise<void>
  /** Ends the server if it runs, and starts it on the same address and directory. */
  restart(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Binding a port that was free a moment ago can fail; more often than this it is no accident. */
const startAttempts = 5
/** Loading a large dataset counts too. */
const startTimeoutMs = 60_000
/** How long a server may take to save its data. */
const stopTimeoutMs = 10_000
/** How long to wait for one answer while starting. */
const answerTimeoutMs = 1000
/** How long to wait for a server whose process has just died: its watchdog has it save its data, and ends it. */
const takeoverTimeoutMs = stopTimeoutMs + 5000
/** How long to wait for a server of a process that lives, which may be stopping it. */
const handOverTimeoutMs = 3000

/**
 * Starts a private server and waits until it answers. It dies with this process, even when that is killed.
 *
 * Throws `SERVER_NOT_FOUND` where there is no binary, and `SERVER_START` with the last lines of the server's log.
 */
export async function startServer(options: ServerOptions = {}): Promise<PrivateServer> {
  if (options.dir !== undefined) await refuseData(options.dir, ['cluster.json'], 'a cluster')
  return launchServer(options, options.dir !== undefined)
}

/** Throws `SERVER_START` where a directory holds one of these files: the server would not see the data beside them. */
export async function refuseData(dir: string, files: readonly string[], of: string): Promise<void> {
  const path = resolve(dir)
  const names = await readdir(path).catch((): string[] => [])
  if (!files.some((file) => names.includes(file))) return
  throw new ServerError('SERVER_START', `${path} holds the data of ${of}`, {
    hint: 'Ask for as many shards as before, or choose another directory.',
  })
}

/** As startServer(); `kept` says whether the data in `dir` matter: a server with kept data is ended gently. */
export async function launchServer(options: ServerOptions, kept: boolean): Promise<PrivateServer> {
  options.signal?.throwIfAborted()
  const binary = options.binary ?? (await findServer())
  const ownsDir = options.dir === undefined
  const dir = options.dir !== undefined ? await prepareDirectory(options.dir) : await temporaryDirectory()
  try {
    if (kept) await awaitDirectoryFree(dir, options.password)
    for (let attempt = 1; ; attempt++) {
      const [free = 0] = options.socket === true || options.port !== undefined ? [0] : await freePorts(1)
      const server = new ServerProcess(binary, { ...options, dir, kept, ownsDir, port: options.port ?? free })
      try {
        await server.start(options.signal)
        return server
      } catch (error) {
        const collided = error instanceof ServerError && /Address already in use|Failed listening/.test(error.message)
        if (!collided || options.port !== undefined || attempt === startAttempts) throw error
      }
    }
  } catch (error) {
    if (ownsDir) await removeTemporary(dir)
    throw error
  }
}

export async function temporaryDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'gearmill-')).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause)
    const hint = 'TMPDIR names another folder for temporary data.'
    throw new ServerError('SERVER_START', `no temporary directory can be made: ${why}`, { cause, hint })
  })
  watchDirectory(dir)
  return dir
}

export async function removeTemporary(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  forgetDirectory(dir)
}

export async function prepareDirectory(dir: string): Promise<string> {
  const path = resolve(dir)
  try {
    await mkdir(path, { recursive: true })
    return path
  } catch (cause) {
    throw new ServerError('SERVER_START', `the directory ${path} cannot be made`, {
      cause,
      hint: 'Check the path and the rights.',
    })
  }
}

interface Setup extends ServerOptions {
  readonly dir: string
  readonly kept: boolean
  readonly ownsDir: boolean
  readonly port: number
}

class ServerProcess implements PrivateServer {
  readonly url: string
  readonly port: number
  readonly socket?: string
  readonly dir: string
  readonly password?: string
  readonly #binary: ServerBinary
  readonly #setup: Setup
  readonly #address: WireAddress
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()

  constructor(binary: ServerBinary, setup: Setup) {
    this.#binary = binary
    this.#setup = setup
    this.dir = setup.dir
    const credentials = setup.password === undefined ? '' : `:${encodeURIComponent(setup.password)}@`
    if (setup.password !== undefined) this.password = setup.password
    if (setup.socket === true) {
      this.port = 0
      this.socket = join(setup.dir, 'server.sock')
      this.#address = { path: this.socket }
      const query = setup.password === undefined ? '' : `?password=${encodeURIComponent(setup.password)}`
      this.url = `redis+unix://${encodeURI(this.socket)}${query}`
    } else {
      this.port = setup.port
      this.#address = { port: setup.port }
      this.url = `redis://${credentials}127.0.0.1:${setup.port}`
    }
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async start(signal?: AbortSignal): Promise<void> {
    const configFile = join(this.dir, 'server.conf')
    // The file may hold a password.
    await writeFile(configFile, configuration(this.#setup, this.socket), { mode: 0o600 })
    // What an earlier run logged must not be taken for this one's end.
    const logStart = await fileSize(join(this.dir, 'server.log'))
    signal?.throwIfAborted()
    const child = spawn(this.#binary.path, [configFile], {
      argv0: this.#binary.argv0,
      cwd: this.dir,
      stdio: 'ignore',
      // Ctrl-C goes to the whole foreground group; this process decides when its servers end.
      detached: true,
    })
    const exited = new Promise<void>((done) => {
      child.once('exit', () => done())
      child.once('error', () => done())
    })
    this.#child = child
    this.#exited = exited
    child.unref()
    const pid = child.pid
    if (pid !== undefined) {
      watchProcess(pid, this.#setup.kept ? 'kept' : 'temporary')
      void exited.then(() => forgetProcess(pid))
      await writeFile(
        join(this.dir, 'server.json'),
        JSON.stringify({ pid, owner: process.pid, port: this.port, socket: this.socket ?? '' }),
      )
    }
    try {
      await this.#answers(child, signal)
    } catch (error) {
      await this.kill()
      if (signal?.aborted === true) throw signal.reason
      const log = await tail(join(this.dir, 'server.log'), logStart)
      throw new ServerError('SERVER_START', `${this.#binary.path} did not start${log === '' ? '' : `:\n${log}`}`, {
        cause: error,
      })
    }
  }

  async stop(): Promise<void> {
    // Temporary data need no goodbye.
    if (this.#setup.kept) await this.#end('SIGTERM')
    else await this.#end('SIGKILL')
    if (this.#setup.ownsDir) await removeTemporary(this.dir)
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.#end('SIGTERM')
    await this.start()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    // A caller that waits here must not see the process end because nothing else is left to wait for.
    child.ref()
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
    await this.#exited
    clearTimeout(timer)
  }

  /** Resolves when this very process answers (another one may sit on the port), rejects when it has ended. */
  async #answers(child: ChildProcess, signal?: AbortSignal): Promise<void> {
    let ended = child.pid === undefined
    void this.#exited.then(() => (ended = true))
    const deadline = performance.now() + startTimeoutMs
    for (let pause = 1; ; pause = Math.min(pause * 2, 20)) {
      signal?.throwIfAborted()
      if (ended) throw new ServerError('SERVER_START', 'the process ended')
      const answer = await identify(this.#address, this.#setup.password, this.#exited)
      if (answer.pid === child.pid && !answer.loading) return
      if (performance.now() > deadline) throw new ServerError('SERVER_START', 'it does not answer')
      await delay(pause)
    }
  }
}

interface Identity {
  /** 0: nobody answers. */
  readonly pid: number
  readonly loading: boolean
}

/** Who listens at an address. Another kind of server may sit there and say nothing: `ended` stops the wait, as does a second. */
async function identify(address: WireAddress, password?: string, ended?: Promise<void>): Promise<Identity> {
  let wire: Wire | undefined
  let over = false
  const giveUp = (): void => {
    over = true
    wire?.close()
  }
  const timer = setTimeout(giveUp, answerTimeoutMs)
  void ended?.then(giveUp)
  try {
    wire = await Wire.open(address)
    if (over) return { pid: 0, loading: false }
    if (password !== undefined) await wire.command('AUTH', password)
    const info = String(await wire.command('INFO'))
    return { pid: Number(/^process_id:(\d+)/m.exec(info)?.[1] ?? 0), loading: /^loading:1/m.test(info) }
  } catch {
    return { pid: 0, loading: false }
  } finally {
    clearTimeout(timer)
    wire?.close()
  }
}

/** Two servers on one directory would destroy the data: one that is still there is waited for, then refused. */
async function awaitDirectoryFree(dir: string, password?: string): Promise<void> {
  let previous: { pid: number; owner?: number; port: number; socket: string }
  try {
    previous = JSON.parse(await readFile(join(dir, 'server.json'), 'utf8'))
  } catch {
    return
  }
  const address = previous.socket === '' ? { port: previous.port } : { path: previous.socket }
  const owned = previous.owner !== undefined && isAlive(previous.owner)
  const deadline = performance.now() + (owned ? handOverTimeoutMs : takeoverTimeoutMs)
  while ((await identify(address, password)).pid === previous.pid && previous.pid > 0) {
    if (performance.now() > deadline) {
      throw new ServerError('SERVER_START', `the directory ${dir} is in use by the server with pid ${previous.pid}`, {
        hint: 'Connect to that server, stop it, or choose another directory.',
      })
    }
    await delay(20)
  }
}

function configuration(setup: Setup, socket?: string): string {
  const rdb = setup.persistence === 'rdb' || setup.persistence === 'both'
  const aof = setup.persistence === 'aof' || setup.persistence === 'both'
  const lines: Record<string, string> = {
    daemonize: 'no',
    bind: '127.0.0.1',
    port: String(socket === undefined ? setup.port : 0),
    dir: quoted(setup.dir),
    logfile: 'server.log',
    save: rdb ? '3600 1 300 100 60 10000' : '""',
    appendonly: aof ? 'yes' : 'no',
    appendfsync: 'everysec',
    'repl-diskless-sync-delay': '0',
    // What taps of key triggers may miss and still go on.
    'repl-backlog-size': '64mb',
    // Ending does not wait for replicas that may be ending too.
    'shutdown-timeout': '0',
  }
  if (socket !== undefined) lines.unixsocket = quoted(socket)
  if (setup.password !== undefined) {
    lines.requirepass = quoted(setup.password)
    lines.masterauth = quoted(setup.password)
  }
  for (const [name, value] of Object.entries(setup.config ?? {})) lines[name] = value === '' ? '""' : value
  return Object.entries(lines)
    .map(([name, value]) => `${name} ${value}\n`)
    .join('')
}

/** The configuration file's string syntax; bytes outside of ASCII pass as they are. */
function quoted(value: string): string {
  const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', String.raw`\"`)
  return `"${escaped.replaceAll('\n', String.raw`\n`).replaceAll('\r', String.raw`\r`)}"`
}

async function fileSize(path: string): Promise<number> {
  try {
    await using file = await open(path)
    return (await file.stat()).size
  } catch {
    return 0
  }
}

/** The last lines of a log, from `start` on. */
async function tail(path: string, start: number): Promise<string> {
  try {
    const text = (await readFile(path)).subarray(start).toString('utf8')
    return text.trimEnd().split('\n').slice(-8).join('\n')
  } catch {
    return ''
  }
}
