import { type Alias, type AliasRequest, aliasListSchema, aliasSchema } from './contract/alias.ts';
import { type DeployedFunction, deployedFunctionSchema } from './contract/function.ts';
import { type CallOptions, call, type Send } from './send.ts';

/** What can be done with a function's versions once they are deployed. */
export interface FunctionClient {
  /** From now on `name:alias` calls what the request says, with `weights` several versions in these shares. */
  putAlias(name: string, alias: string, request: AliasRequest, options?: CallOptions): Promise<Alias>;
  /** Sorted by name. */
  aliases(name: string, options?: CallOptions): Promise<Alias[]>;
  deleteAlias(name: string, alias: string, options?: CallOptions): Promise<void>;
  /** Points the name at the version before, or at the one given. */
  rollback(name: string, options?: CallOptions & { version?: number }): Promise<DeployedFunction>;
  /** Rejects with `version_in_use` when the name or an alias points at it. */
  deleteVersion(name: string, version: number, options?: CallOptions): Promise<void>;
}

export function createFunctionClient(send: Send): FunctionClient {
  const functionPath = (name: string) => `/v1/functions/${encodeURIComponent(name)}`;
  const aliasPath = (name: string, alias: string) =>
    `${functionPath(name)}/aliases/${encodeURIComponent(alias)}`;
  return {
    putAlias: (name, alias, json, options) =>
      call(send, aliasSchema, 'PUT', aliasPath(name, alias), { ...options, json }),
    aliases: async (name, options) =>
      (await call(send, aliasListSchema, 'GET', `${functionPath(name)}/aliases`, options)).aliases,
    deleteAlias: async (name, alias, options) => void (await send('DELETE', aliasPath(name, alias), options)),
    rollback: (name, { version, ...options } = {}) =>
      call(send, deployedFunctionSchema, 'POST', `${functionPath(name)}/rollback`, {
        ...options,
        json: { version },
      }),
    deleteVersion: async (name, version, options) =>
      void (await send('DELETE', `${functionPath(name)}/versions/${version}`, options)),
  };
}
