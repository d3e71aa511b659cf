"""Other Stocktake servers, by their journal."""
