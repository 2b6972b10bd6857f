// Writes the files that are made from the code: `npm run generate`. `npm run check` holds that they are up to date.
import { writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { format, resolveConfig } from 'prettier'
import { cliReference } from './cli-reference.mjs'
import { at, fail, say } from './paths.mjs'

/** Each generated file's path with its text. Reads dist, which has to belong to the sources. */
export async function generate() {
  const texts = new Map([
    ['config.schema.json', await configSchema()],
    ['docs/cli.md', await cliReference()],
    ['docs/errors.md', await errorTable()],
  ])
  for (const [path, text] of texts) {
    texts.set(path, await format(text, { ...(await resolveConfig(at(path))), filepath: at(path) }))
  }
  return texts
}

async function configSchema() {
  const { jsonSchema } = await import(at('dist/config.js'))
  return JSON.stringify(jsonSchema())
}

const cell = (text) => text.replaceAll('|', '\\|')

async function errorTable() {
  const { catalogue } = await import(at('dist/errors.js'))
  const lines = [
    '# Errors',
    '',
    'Every error that Gearmill throws is a `GearmillError` with a stable `code`, a `hint` that says what to do, the `cause` where',
    'there is one, and `retryable`: whether the same call may succeed later without a change.',
  ]
  const families = new Map()
  for (const [code, entry] of Object.entries(catalogue)) {
    const [family] = code.split('_')
    families.set(family, [...(families.get(family) ?? []), { code, ...entry }])
  }
  for (const [family, entries] of families) {
    lines.push('', `## ${family}`, '', '| code | meaning | what to do | retryable |', '|---|---|---|---|')
    for (const { code, meaning, hint, retryable } of entries) {
      lines.push(`| \`${code}\` | ${cell(meaning)} | ${cell(hint)} | ${retryable ? 'yes' : ''} |`)
    }
  }
  return `${lines.join('\n')}\n`
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const { setup } = await import('./setup.mjs')
    await setup({ server: false, build: 'lenient' })
    for (const [path, text] of await generate()) {
      await writeFile(at(path), text)
      say(path)
    }
  } catch (error) {
    fail(error)
  }
}
