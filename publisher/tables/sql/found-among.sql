SELECT thing FROM places
