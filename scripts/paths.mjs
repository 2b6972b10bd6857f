// Where things are in this repository, and the one way the scripts run commands and talk (on stderr: stdout is for data).
import { spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
export const at = (...parts) => join(root, ...parts)

export function say(message) {
  process.stderr.write(`${message}\n`)
}

/** A failure that the user can do something about: printed without a stack. */
export class SetupError extends Error {}

/** Prints what went wrong and ends the process. */
export function fail(error) {
  say(error instanceof SetupError ? error.message : (error?.stack ?? String(error)))
  process.exit(1)
}

/** The paths of all files below a folder of the repository, relative to the root, with forward slashes, sorted. */
export async function filesBelow(folder, keep = () => true) {
  const found = []
  const walk = async (directory) => {
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      if (entry.name === 'node_modules') continue
      const path = join(directory, entry.name)
      if (entry.isDirectory()) await walk(path)
      else found.push(relative(root, path).split(sep).join('/'))
    }
  }
  await walk(at(folder)).catch((error) => {
    if (error.code !== 'ENOENT') throw error
  })
  return found.filter(keep).sort((a, b) => (a < b ? -1 : 1))
}

/** Runs a command without a terminal; resolves to its exit code (null: not started or killed) and its output, both streams as they came. */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let output = ''
    const add = (chunk) => (output += chunk)
    child.stdout.setEncoding('utf8').on('data', add)
    child.stderr.setEncoding('utf8').on('data', add)
    child.on('error', (error) => resolve({ code: null, output: error.message }))
    child.on('close', (code) => resolve({ code, output }))
  })
}

/** Runs Node in the foreground, hands signals on, and resolves to the exit code a shell would give. */
export function foreground(args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', ...options })
    const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
      // A terminal sends Ctrl-C to the whole group: the child has it already, and a second one would mean "at once".
      const handler = () => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal))
      process.on(signal, handler)
      return [signal, handler]
    })
    const done = () => handlers.forEach(([signal, handler]) => process.off(signal, handler))
    child.on('error', (error) => {
      done()
      reject(error)
    })
    child.on('close', (code, signal) => {
      done()
      resolve(code ?? 128 + ({ SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 0))
    })
  })
}
