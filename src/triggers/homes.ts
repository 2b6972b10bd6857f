// Where a trigger has state.
import { itemsOf, textOf } from '../redis/replies.ts'
import { homeKeys, type HomeKeys, type TriggerClient } from './keys.ts'

export async function homesOf(name: string, { deployment, namespace, keys }: TriggerClient): Promise<HomeKeys[]> {
  const homes = keys.homes(name)
  const tags = itemsOf(await deployment.command(homes, ['SMEMBERS', homes])).map(textOf)
  return tags.map((tag) => homeKeys(namespace, name, tag))
}
