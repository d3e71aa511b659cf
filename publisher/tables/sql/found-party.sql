SELECT thing FROM parties WHERE organization = $party AND roles <> 0
