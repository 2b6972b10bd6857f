// Finds a server binary that works: Valkey or Redis, on PATH or named by GEARMILL_SERVER.
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { basename, delimiter, join } from 'node:path'
import { ServerError } from '../errors.ts'

export interface ServerBinary {
  readonly path: string
  /** What the process must be called: packages that ship only tools have the server under the name of a tool. */
  readonly argv0: 'redis-server' | 'valkey-server'
  readonly name: 'redis' | 'valkey'
  readonly version: readonly [number, number, number]
}

/** In order of preference. The checking tools are the server binary itself, which decides by its argv[0] what to be. */
const candidates = ['valkey-server', 'redis-server', 'valkey-check-rdb', 'redis-check-rdb']

const oldest = { redis: [7, 0, 0], valkey: [7, 2, 0] } as const

const found = new Map<string, Promise<ServerBinary>>()

/**
 * The server to start private servers from: GEARMILL_SERVER, else the first that works of valkey-server, redis-server and
 * the tools that are the same binary, from PATH.
 *
 * Throws `SERVER_NOT_FOUND`, whose hint is the one line to type on this platform.
 */
export function findServer(environment: NodeJS.ProcessEnv = process.env): Promise<ServerBinary> {
  const key = `${environment.GEARMILL_SERVER ?? ''}\0${environment.PATH ?? ''}`
  const known = found.get(key)
  if (known !== undefined) return known
  const search = searchServer(environment)
  found.set(key, search)
  // Only success is kept: a server may be installed while the process lives.
  search.catch(() => found.delete(key))
  return search
}

async function searchServer(environment: NodeJS.ProcessEnv): Promise<ServerBinary> {
  const named = environment.GEARMILL_SERVER
  if (named !== undefined && named !== '') {
    const binary = await inspectBinary(named)
    if (typeof binary !== 'string') return binary
    throw new ServerError('SERVER_NOT_FOUND', `GEARMILL_SERVER names ${named}, but ${binary}`, {
      hint: 'Let GEARMILL_SERVER name a redis-server or valkey-server binary, or unset it to search PATH.',
    })
  }
  const refused: string[] = []
  const directories = (environment.PATH ?? '').split(delimiter).filter((directory) => directory !== '')
  for (const name of candidates) {
    for (const directory of directories) {
      const path = join(directory, name)
      if (!(await isExecutable(path))) continue
      const binary = await inspectBinary(path)
      if (typeof binary !== 'string') return binary
      // A tool that is a program of its own is nothing to report; a server that is too old is.
      if (name.endsWith('-server')) refused.push(`${path}: ${binary}`)
    }
  }
  const passedOver = refused.length === 0 ? '' : ` (passed over: ${refused.join('; ')})`
  throw new ServerError('SERVER_NOT_FOUND', `no valkey-server or redis-server on PATH${passedOver}`, {
    hint: `Install one: \`${await installCommand(directories)}\``,
  })
}

/** The binary, or why it is not one. */
async function inspectBinary(path: string): Promise<ServerBinary | string> {
  const argv0 = basename(path).startsWith('valkey') ? 'valkey-server' : 'redis-server'
  const output = await versionOutput(path, argv0)
  const match = /^(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)/.exec(output)
  if (match === null) return 'it is not a server binary'
  const name = match[1] === 'Valkey' ? 'valkey' : 'redis'
  const version = [Number(match[2]), Number(match[3]), Number(match[4])] as const
  const [major, minor] = oldest[name]
  if (version[0] < major || (version[0] === major && version[1] < minor)) {
    return `version ${version.join('.')} is older than ${major}.${minor}`
  }
  return { path, argv0, name, version }
}

function versionOutput(path: string, argv0: string): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(path, ['--version'], { argv0, stdio: ['ignore', 'pipe', 'ignore'], timeout: 5000 })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
    child.on('error', () => resolve(''))
    child.on('close', () => resolve(output))
  })
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The line to type on this machine, by the package manager it has. */
async function installCommand(directories: readonly string[]): Promise<string> {
  if (process.platform === 'darwin') return 'brew install valkey'
  if (process.platform === 'win32') return 'wsl --install, then inside: sudo apt-get install -y redis-tools'
  const managers = [
    // redis-tools holds the server binary too, and unlike redis-server starts no system service on port 6379.
    ['apt-get', 'sudo apt-get install -y redis-tools'],
    ['apk', 'sudo apk add valkey'],
    ['dnf', 'sudo dnf install -y valkey'],
    ['pacman', 'sudo pacman -S --noconfirm valkey'],
    ['zypper', 'sudo zypper install -y valkey'],
    ['brew', 'brew install valkey'],
  ] as const
  for (const [manager, line] of managers) {
    for (const directory of directories) if (await isExecutable(join(directory, manager))) return line
  }
  return 'sudo apt-get install -y redis-tools'
}
