// Finds a Redis or Valkey server program on this machine, or installs one through the system's package manager without
// starting a service. Runs before the dependencies are installed, so it stands on Node alone.
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { run, say, SetupError } from './paths.mjs'

// Debian's *-tools packages bring the server without a service: *-check-rdb is the same program, which looks at argv[0].
const programs = [
  { name: 'valkey-server', argv0: 'valkey-server' },
  { name: 'redis-server', argv0: 'redis-server' },
  { name: 'valkey-check-rdb', argv0: 'valkey-server' },
  { name: 'redis-check-rdb', argv0: 'redis-server' },
]
const oldest = { redis: [7, 0], valkey: [7, 2] }

// The packages of each manager, best first. `update` refreshes the list of packages, which a new machine may not have.
const managers = [
  {
    program: 'apt-get',
    packages: ['redis-tools', 'valkey-tools'],
    update: ['update'],
    install: (name) => ['install', '-y', '--no-install-recommends', name],
  },
  { program: 'dnf', packages: ['valkey', 'redis'], install: (name) => ['install', '-y', name] },
  { program: 'yum', packages: ['valkey', 'redis'], install: (name) => ['install', '-y', name] },
  { program: 'apk', packages: ['valkey', 'redis'], install: (name) => ['add', '--no-cache', name] },
  { program: 'pacman', packages: ['valkey', 'redis'], install: (name) => ['-Sy', '--noconfirm', name] },
  { program: 'zypper', packages: ['valkey', 'redis'], install: (name) => ['--non-interactive', 'install', name] },
  { program: 'brew', packages: ['valkey', 'redis'], install: (name) => ['install', name], asUser: true },
]

async function onPath(program) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder || '.', program)
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (usable) return path
  }
  return undefined
}

/** The version a program reports as a server, or undefined where it is no server. */
async function versionOf(path, argv0) {
  const { code, output } = await run(path, ['--version'], { argv0 })
  const match = / server v=(\d+)\.(\d+)\.(\d+)/i.exec(output)
  return code === 0 && match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined
}

async function findServer() {
  const tooOld = []
  for (const { name, argv0 } of programs) {
    const path = await onPath(name)
    if (path === undefined) continue
    const version = await versionOf(path, argv0)
    if (version === undefined) continue
    const needed = oldest[argv0 === 'valkey-server' ? 'valkey' : 'redis']
    const enough = version[0] > needed[0] || (version[0] === needed[0] && version[1] >= needed[1])
    if (enough) return { path, version: version.join('.'), tooOld }
    tooOld.push(`${path} is version ${version.join('.')}`)
  }
  return { tooOld }
}

/** Makes sure that there is a server program, installing one where there is none. */
export async function ensureServer() {
  const found = await findServer()
  if (found.path !== undefined) return
  const because =
    found.tooOld.length > 0 ? found.tooOld.join('; ') : 'neither valkey-server nor redis-server is on PATH'

  for (const manager of managers) {
    if ((await onPath(manager.program)) === undefined) continue
    await installWith(manager, because)
    return
  }
  throw new SetupError(
    `No usable server: ${because}, and no package manager that this script knows. ` +
      'Gearmill needs redis-server >= 7.0 or valkey-server >= 7.2 on PATH; see https://valkey.io/download/',
  )
}

async function installWith(manager, because) {
  const root = process.getuid?.() === 0
  const prefix = root || manager.asUser ? [] : ['sudo', '-n']
  const typed = (args) => [...(root || manager.asUser ? [] : ['sudo']), manager.program, ...args].join(' ')
  const byHand = `Install one with:\n  ${typed(manager.install(manager.packages[0]))}`
  if (prefix.length > 0 && (await run('sudo', ['-n', 'true'])).code !== 0) {
    throw new SetupError(`No usable server: ${because}, and installing one needs a password. ${byHand}`)
  }
  const execute = (args) => {
    const [command, ...rest] = [...prefix, manager.program, ...args]
    return run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  }

  let last = ''
  for (const name of manager.packages) {
    say(`No usable server: ${because}.`)
    say(`Installing the package ${name} (no service is started): ${typed(manager.install(name))}`)
    let result = await execute(manager.install(name))
    if (result.code !== 0 && manager.update !== undefined) {
      say(`Refreshing the list of packages first: ${typed(manager.update)}`)
      await execute(manager.update)
      result = await execute(manager.install(name))
    }
    last = result.output
    const found = await findServer()
    if (found.path !== undefined) {
      say(`Server: ${found.path}, version ${found.version}`)
      return
    }
    if (found.tooOld.length > 0) because = found.tooOld.join('; ')
  }
  throw new SetupError(`${last.trim()}\n\nNo usable server: ${because}. ${byHand}`)
}
