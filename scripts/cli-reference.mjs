// docs/cli.md: the command line's reference, from the commands themselves.
import { Writable } from 'node:stream'
import { at } from './paths.mjs'

/** The reference as Markdown. Reads dist. */
export async function cliReference() {
  const { buildProgram } = await import(at('dist/cli/program.js'))
  const { exitCodes } = await import(at('dist/cli/exit.js'))
  const { variables } = await import(at('dist/config.js'))
  const nowhere = new Writable()
  const { signal } = new AbortController()
  const program = buildProgram({ stdout: nowhere, stderr: nowhere, env: {}, cwd: '.', signal, exitCode: 0 })
  const common = new Set(program.options.map((option) => option.flags))

  const parts = [
    '# Command line',
    '',
    'Data goes to stdout, everything else to stderr; progress is shown on a terminal only. Flags count over environment',
    'variables, those over `gearmill.config.json` (looked for from the current folder upward), that over defaults.',
    '',
    '## Flags of every command',
    '',
    ...optionTable(program.options.filter((option) => option.long !== '--version')),
  ]
  for (const command of [...program.commands].sort((a, b) => (a.name() < b.name() ? -1 : 1))) {
    parts.push('', `## gearmill ${command.name()}`, '', command.description(), '')
    parts.push('```sh', `gearmill ${command.name()} ${command.usage()}`, '```')
    if (command.registeredArguments.length > 0) {
      parts.push('', '| argument | meaning |', '|---|---|')
      for (const argument of command.registeredArguments) {
        parts.push(
          `| \`${argument.name()}${argument.variadic ? '...' : ''}\` | ${cell(argument.description)}${choicesOf(argument)} |`,
        )
      }
    }
    const own = command.options.filter((option) => !common.has(option.flags))
    if (own.length > 0) parts.push('', ...optionTable(own))
  }
  parts.push('', '## Environment', '', '| variable | sets |', '|---|---|')
  for (const { name, path } of variables) parts.push(`| \`${name}\` | \`${path}\` |`)
  parts.push('| `GEARMILL_CONFIG` | the path of the configuration file |')
  parts.push('| `GEARMILL_SECRET` | what shipped code is signed with |')
  parts.push('| `GEARMILL_SERVER` | the server program that `local()` starts |')
  parts.push('| `GEARMILL_BLAS` | what multiplies matrices: `wasm`, `openblas`, or the path of a library |')
  parts.push('| `GEARMILL_ONNXRUNTIME` | the folder that `onnxruntime-node` is loaded from, or `off` |')
  parts.push('', '## Exit codes', '', '| code | meaning |', '|---|---|')
  for (const [code, meaning] of Object.entries(exitCodes)) parts.push(`| ${code} | ${cell(meaning)} |`)
  parts.push(
    '',
    'An error is printed as `error CODE: message` with a `hint:` line, with `--json` as one JSON object:',
    '`{"error": {"code", "message", "hint"}}`. The codes are those of [errors.md](errors.md), and `USAGE`.',
  )
  return `${parts.join('\n')}\n`
}

const choicesOf = ({ argChoices }) =>
  argChoices === undefined ? '' : `: ${argChoices.map((each) => `\`${each}\``).join(', ')}`

function optionTable(options) {
  const rows = options.map(({ flags, description, mandatory, defaultValue, negate, argChoices }) => {
    const remark = mandatory
      ? ' Required.'
      : defaultValue !== undefined && !negate
        ? ` Default: \`${defaultValue}\`.`
        : ''
    return `| \`${flags}\` | ${cell(description)}${choicesOf({ argChoices })}.${remark} |`
  })
  return ['| flag | meaning |', '|---|---|', ...rows]
}

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
