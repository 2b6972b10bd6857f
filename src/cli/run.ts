// `gearmill run`: a user's script as a process of its own, with the flags handed on as environment. TypeScript goes through
// tsx where it can be found, else through Node's own type stripping.
import { spawn, type ChildProcess } from 'node:child_process'
import { access, constants, readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { constants as system } from 'node:os'
import { pathToFileURL } from 'node:url'
import { Command } from 'commander'
import { ConfigError, PlanError } from '../errors.ts'
import { configOf, flagsOf, say, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'

export function runCommand(cli: Cli): Command {
  const command = new Command('run')
    .summary('run a script that uses Gearmill')
    .description(
      'Runs a JavaScript or TypeScript file. connect() without a URL uses the one given here. Everything after the file is handed to the script, whose exit code is the exit code.',
    )
    .argument('<file>', 'the script: .js, .mjs, .cjs, .ts, .mts or .cts')
    .argument('[args...]', 'arguments for the script')
    .passThroughOptions()
  return withCommonFlags(command).action(async (file: string, args: string[]) => {
    const flags = flagsOf<CommonFlags>(command)
    configOf(cli, flags)
    const path = resolve(cli.cwd, file)
    try {
      await access(path, constants.R_OK)
    } catch (cause) {
      throw new PlanError('PLAN_FILE', `${path} cannot be read`, { cause, hint: 'Check the path and the rights.' })
    }
    if ((await stat(path)).isDirectory()) {
      throw new PlanError('PLAN_FILE', `${path} is a directory`, { hint: 'Name the script in it.' })
    }
    cli.exitCode = await runScript(cli, [...loaderFor(path), path, ...args], environmentOf(cli, flags))
    if (cli.exitCode === 1 && !cli.signal.aborted) await explainCommonJs(cli, path)
  })
}

function environmentOf(cli: Cli, flags: CommonFlags): NodeJS.ProcessEnv {
  return {
    ...cli.env,
    ...(flags.url !== undefined && { GEARMILL_URL: flags.url }),
    ...(flags.namespace !== undefined && { GEARMILL_NAMESPACE: flags.namespace }),
  }
}

/** What Node needs before the path of a script. */
function loaderFor(path: string): string[] {
  if (!['.ts', '.mts', '.cts', '.tsx'].includes(extname(path))) return []
  for (const from of [path, import.meta.url]) {
    try {
      return ['--import', pathToFileURL(createRequire(from).resolve('tsx')).href]
    } catch {
      // Not there: the next place.
    }
  }
  // `features.typescript` came when stripping was switched on for everyone.
  if ((process.features as { typescript?: unknown }).typescript) return []
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 6)) return ['--experimental-strip-types']
  throw new ConfigError('CONFIG_TYPESCRIPT', `${path}: Node ${process.versions.node} alone does not run TypeScript`)
}

/** Resolves to the script's exit code, as a shell would give it. */
async function runScript(cli: Cli, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(process.execPath, args, { cwd: cli.cwd, env, stdio: 'inherit' })
  const forward = (): void => handOn(child, cli.signal.reason)
  // Told twice, this process ends at once: the script with it.
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  cli.signal.addEventListener('abort', forward)
  if (cli.signal.aborted) forward()
  try {
    return await new Promise((settle, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => settle(code ?? 128 + (signal === null ? 0 : system.signals[signal])))
    })
  } finally {
    process.removeListener('exit', end)
    cli.signal.removeEventListener('abort', forward)
  }
}

/** What tsx says of a script that awaits outside of functions, where the package is CommonJS, is hard to read. */
async function explainCommonJs(cli: Cli, path: string): Promise<void> {
  if (extname(path) !== '.ts' || !/^(?:[a-z].*= )?await\b/m.test(await readFile(path, 'utf8'))) return
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const manifest = await readFile(join(folder, 'package.json'), 'utf8').catch(() => undefined)
    if (manifest !== undefined && /"type"\s*:\s*"module"/.test(manifest)) return
    if (manifest !== undefined || dirname(folder) === folder) break
  }
  const ways = `set "type": "module" in package.json (npm pkg set type=module), or name it ${basename(path, '.ts')}.mts`
  say(cli, `hint: ${basename(path)} is CommonJS, which has no await outside of functions: ${ways}`)
}

function handOn(child: ChildProcess, reason: unknown): void {
  // A terminal sends Ctrl-C to the script too.
  if (reason === 'SIGINT' && process.stdin.isTTY) return
  child.kill(reason === 'SIGINT' ? 'SIGINT' : 'SIGTERM')
}
