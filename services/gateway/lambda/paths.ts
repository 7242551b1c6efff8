/** Lambda's paths begin with the date of the API's version: those it has now or may have. */
export const isLambdaPath = (path: string) => /^\/20\d\d-\d\d-\d\d\//.test(path) || isFunctionUrl(path);

export const functionUrlPrefix = '/lambda-url';
const isFunctionUrl = (path: string) => path.startsWith(`${functionUrlPrefix}/`);
