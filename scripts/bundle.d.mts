export declare function bundle(
  repo: string,
  outDir: string,
  entries?: Readonly<Record<string, string>>,
): Promise<void>;
