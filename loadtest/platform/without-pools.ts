/** Settings of a platform that keeps no sandbox parked. */
export const withoutPools = {
  ONCEBOX_POOL_NODE: '0',
  ONCEBOX_POOL_PYTHON: '0',
  ONCEBOX_POOL_BASH: '0',
  ONCEBOX_POOL_FUNCTION: '0',
};
