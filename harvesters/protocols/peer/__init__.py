"""Other Stocktake servers, harvested by their journal."""
