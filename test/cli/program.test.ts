// What all commands have in common: help, usage errors, exit codes, --json.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gearmill } from './command-line.ts'

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
})
