// What all commands have in common: help, usage errors, exit codes, --json.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Cli } from '../../src/cli/cli.ts'
import { exitCodeOf, isInterruption } from '../../src/cli/exit.ts'
import { ConnectError, ExecutionError } from '../../src/errors.ts'
import { gearmill } from './command-line.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname

let cwd: string
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'gearmill-cli-'))
})
afterEach(() => rm(cwd, { recursive: true }))

describe('gearmill', () => {
  it('prints its help on stdout when asked, and on stderr, as a mistake, without a command', async () => {
    const asked = await gearmill(['--help'])
    expect(asked).toMatchObject({ code: 0, stderr: '' })
    expect(asked.stdout).toContain('Usage: gearmill')
    expect(await gearmill([])).toEqual({ code: 2, stdout: '', stderr: asked.stdout })
  })

  it('takes the short flags that people try', async () => {
    expect(await gearmill(['-h'])).toEqual(await gearmill(['--help']))
    expect(await gearmill(['-V'])).toEqual(await gearmill(['--version']))
    const help = await gearmill(['ls', '-h'])
    expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Usage: gearmill ls') })
    expect(await gearmill(['help', 'ls'])).toEqual(help)
    expect(await gearmill(['help'])).toEqual(await gearmill(['-h']))
  })

  it('prints its help where flags stand without a command, and says that there is no such command to help with', async () => {
    const { stdout: help } = await gearmill(['--help'])
    expect(await gearmill(['--json'])).toEqual({ code: 2, stdout: '', stderr: help })
    expect(await gearmill(['help', 'nothing'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("error USAGE: unknown command 'nothing'"),
    })
  })

  it('reads --json among the flags, and leaves that of a script alone', async () => {
    const given = await gearmill(['run', '--url', 'redis://h:1', '--json', 'no.js'], { cwd })
    expect(JSON.parse(given.stderr)).toMatchObject({ error: { code: 'PLAN_FILE' } })
    const [after, behind] = [
      await gearmill(['run', 'no.js', '--json'], { cwd }),
      await gearmill(['--url', 'redis://h:1', 'run', 'no.js', '--json'], { cwd }),
    ]
    expect(after).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error PLAN_FILE/) })
    expect(behind).toEqual(after)
  })

  it('gives every command the common flags, before and after its name', async () => {
    for (const name of ['run', 'split', 'doctor']) {
      const { stdout } = await gearmill([name, '--help'])
      for (const flag of ['--url', '--namespace', '--json']) expect(stdout).toContain(flag)
    }
    const [before, after] = [
      await gearmill(['--json', 'run', 'no.js'], { cwd }),
      await gearmill(['run', '--json', 'no.js'], { cwd }),
    ]
    expect(before).toEqual(after)
    expect(JSON.parse(after.stderr)).toMatchObject({ error: { code: 'PLAN_FILE' } })
  })

  it.each([
    [['nothing'], "unknown command 'nothing'"],
    [['splt'], 'Did you mean split?'],
    [['doctor', '--nothing'], "unknown option '--nothing'"],
    [['split', '--rows', '1'], "missing required argument 'file'"],
    [['split', 'a.csv'], '--rows <n>'],
    [['split', 'a.csv', '--rows', '0'], 'Expected a whole number of at least 1'],
    [['split', 'a.csv', '--rows', 'ten'], 'Expected a whole number of at least 1'],
  ])('refuses %j with exit code 2', async (args, message) => {
    const { code, stdout, stderr } = await gearmill(args, { cwd })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^error USAGE: /)
    expect(stderr).toContain(message)
    const command = ['doctor', 'split'].includes(args[0] ?? '') ? ` ${args[0]}` : ''
    expect(stderr).toContain(`hint: See: gearmill help${command}\n`)
  })

  it('prints a usage error as one JSON object with --json', async () => {
    const { code, stderr } = await gearmill(['split', 'a.csv', '--json'], { cwd })
    expect(code).toBe(2)
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'USAGE', message: expect.stringContaining('--rows') } })
  })

  it('ends with 2 where the configuration is not valid, naming where', async () => {
    await writeFile(join(cwd, 'gearmill.config.json'), '{ "executor": 2 }')
    const { code, stderr } = await gearmill(['doctor'], { cwd })
    expect(code).toBe(2)
    expect(stderr).toContain(`error CONFIG_INVALID: unknown field 'executor' in ${join(cwd, 'gearmill.config.json')}`)
    expect(stderr).toMatch(/\nhint: /)
  })

  it('ends with 130 or 143, silently, when interrupted', async () => {
    await writeFile(join(cwd, 'a.csv'), 'x\n1\n')
    for (const [reason, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
      const outcome = await gearmill(['split', 'a.csv', '--rows', '1'], { cwd, signal: AbortSignal.abort(reason) })
      expect(outcome).toEqual({ code, stdout: '', stderr: '' })
    }
  })

  it('ends with 130, silently, where the interruption made something else fail', async () => {
    const interrupted: Cli = { ...({} as Cli), signal: AbortSignal.abort('SIGINT') }
    for (const error of [
      new ExecutionError('EXECUTION_ABORTED', 'aborted', { execution: 'x' }),
      new ConnectError('CONNECT_CLOSED', 'closed'),
    ]) {
      expect(exitCodeOf(error, interrupted)).toBe(130)
      expect(isInterruption(error, interrupted)).toBe(true)
      expect(isInterruption(error, { ...interrupted, signal: new AbortController().signal })).toBe(false)
    }
    expect(exitCodeOf(new ConnectError('CONNECT_REFUSED', 'refused'), interrupted)).toBe(3)
  })

  it('keeps its exit code where nobody reads stderr, and says so where stdout cannot be written', async () => {
    const child = spawn(process.execPath, [program, 'nothing'], { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr.destroy()
    expect(await once(child, 'close')).toEqual([2, null])
    const full = await open('/dev/full', 'w')
    const writing = spawn(process.execPath, [program, '--version'], { stdio: ['ignore', full.fd, 'pipe'] })
    await full.close()
    const [said] = await Promise.all([text(writing.stderr ?? Readable.from([])), once(writing, 'close')])
    expect(writing.exitCode).toBe(1)
    expect(said).toMatch(/^error UNKNOWN: stdout cannot be written: ENOSPC.*\n$/)
  })
})
