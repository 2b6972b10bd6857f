// Makes sure that there is a server program: the product's own search finds one, else it is installed through the system's
// package manager, from packages that start no service.
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { at, run, say, SetupError } from './paths.mjs'

// The packages of each manager, best first. `refresh` fetches the list of packages, which a new machine may not have.
const managers = [
  {
    program: 'apt-get',
    // The package redis-server would start a service on port 6379; redis-tools holds the same program.
    packages: ['redis-tools', 'valkey-tools'],
    refresh: ['update'],
    install: (name) => ['install', '-y', '--no-install-recommends', name],
  },
  { program: 'dnf', packages: ['valkey', 'redis'], install: (name) => ['install', '-y', name] },
  { program: 'yum', packages: ['valkey', 'redis'], install: (name) => ['install', '-y', name] },
  { program: 'apk', packages: ['valkey', 'redis'], install: (name) => ['add', '--no-cache', name] },
  { program: 'pacman', packages: ['valkey', 'redis'], install: (name) => ['-Sy', '--noconfirm', name] },
  { program: 'zypper', packages: ['valkey', 'redis'], install: (name) => ['--non-interactive', 'install', name] },
  { program: 'brew', packages: ['valkey', 'redis'], install: (name) => ['install', name], asUser: true },
]

async function isOnPath(program) {
  const directories = (process.env.PATH ?? '').split(delimiter).filter((directory) => directory !== '')
  const tries = directories.map((directory) => access(join(directory, program), constants.X_OK))
  return (await Promise.allSettled(tries)).some((result) => result.status === 'fulfilled')
}

/** Why there is no server, as the product says it; undefined where there is one. Needs the build. */
async function whyNoServer() {
  const { findServer } = await import(at('dist/server/binary.js'))
  try {
    await findServer()
    return undefined
  } catch (error) {
    if (error.code === 'SERVER_NOT_FOUND') return error
    throw error
  }
}

/** Installs a server program where there is none. A name in GEARMILL_SERVER is the user's own matter. */
export async function ensureServer() {
  const reason = await whyNoServer()
  if (reason === undefined) return
  const manager = process.env.GEARMILL_SERVER ? undefined : await firstManager()
  if (manager === undefined) throw new SetupError(`${reason.message}\n${reason.hint}`)

  const direct = process.getuid?.() === 0 || manager.asUser === true
  if (!direct && (await run('sudo', ['-n', 'true'])).code !== 0) {
    throw new SetupError(`${reason.message}, and installing one asks for a password.\n${reason.hint}`)
  }
  say(`${reason.message}.`)
  let output = ''
  for (const name of manager.packages) {
    output = await install(manager, name, direct)
    if ((await whyNoServer()) === undefined) return
  }
  const { message, hint } = (await whyNoServer()) ?? reason
  throw new SetupError(`${output.trim()}\n\n${message}\n${hint}`)
}

async function firstManager() {
  for (const manager of managers) if (await isOnPath(manager.program)) return manager
  return undefined
}

async function install(manager, name, direct) {
  const line = (args) => [...(direct ? [] : ['sudo', '-n']), manager.program, ...args]
  const execute = (args) => {
    const [command, ...rest] = line(args)
    return run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  }
  say(`Installing the package ${name}, which starts no service: ${line(manager.install(name)).join(' ')}`)
  let result = await execute(manager.install(name))
  if (result.code !== 0 && manager.refresh !== undefined) {
    say(`Refreshing the list of packages first: ${line(manager.refresh).join(' ')}`)
    await execute(manager.refresh)
    result = await execute(manager.install(name))
  }
  return result.output
}
